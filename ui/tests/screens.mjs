// Every screen and state: what `make screenshots` takes pictures of and the browser tests look at with axe.
// `server` is one of full, empty; `go` opens it and returns when it shows what it should.
export const screens = [
  { name: 'welcome', server: 'empty', go: async (p) => { await p.goto(p.base + '/'); await p.getByRole('button', { name: 'When an app sends data, post it to Slack' }).waitFor(); await p.waitForTimeout(200) } },
  { name: 'workflows', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows'); await p.getByRole('link', { name: 'Lead intake' }).waitFor() } },
  { name: 'workflows-no-match', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows?q=zebra'); await p.getByText('No workflow matches').waitFor() } },
  { name: 'workflows-empty', server: 'empty', go: async (p) => { await p.goto(p.base + '/workflows'); await p.getByText('Nothing is automated yet').waitFor() } },
  { name: 'workflows-error', server: 'full', faults: true, go: async (p) => { await p.route('**/api/v1/workflows*', (r) => r.abort()); await p.goto(p.base + '/workflows'); await p.getByRole('alert').waitFor() } },
  { name: 'workflows-loading', server: 'full', go: async (p) => { await p.route('**/api/v1/workflows*', () => {}); await p.goto(p.base + '/workflows'); await p.locator('.bone').first().waitFor() } },
  { name: 'runs', server: 'full', go: async (p) => { await p.goto(p.base + '/runs'); await p.getByRole('link', { name: 'Invoice to ledger' }).first().waitFor() } },
  { name: 'runs-search', server: 'full', go: async (p) => { await p.goto(p.base + '/runs?q=lovelace'); await p.getByText(/^Searched all/).waitFor() } },
  { name: 'runs-no-match', server: 'full', go: async (p) => { await p.goto(p.base + '/runs?status=canceled'); await p.getByText('No run is like that').waitFor() } },
  { name: 'runs-empty', server: 'empty', go: async (p) => { await p.goto(p.base + '/runs'); await p.getByText('No runs yet').waitFor() } },
  { name: 'runs-error', server: 'full', faults: true, go: async (p) => { await p.route('**/api/v1/runs*', (r) => r.abort()); await p.goto(p.base + '/runs'); await p.getByRole('alert').waitFor() } },
  { name: 'run-failed', server: 'full', go: async (p) => openRun(p, 'invoice-to-ledger', 'failed') },
  { name: 'run-filtered', server: 'full', go: async (p) => { await openRun(p, 'lead-intake', 'filtered'); await p.getByRole('button', { name: /Only continue if/ }).click() } },
  { name: 'run-done', server: 'full', go: async (p) => { await openRun(p, 'lead-intake', 'succeeded'); await p.getByRole('button', { name: /Send channel message/ }).click() } },
  { name: 'run-gone', server: 'full', faults: true, go: async (p) => { await p.goto(p.base + '/runs/00000000000000000000000000'); await p.getByText('This run is not there any more').first().waitFor() } },
  { name: 'deliveries', server: 'full', go: async (p) => { await p.goto(p.base + '/deliveries'); await p.locator('li').filter({ hasText: 'Refused' }).first().waitFor() } },
  { name: 'deliveries-empty', server: 'empty', go: async (p) => { await p.goto(p.base + '/deliveries'); await p.getByText('Nobody has called yet').waitFor() } },
  { name: 'delivery-refused', server: 'full', go: async (p) => { const d = await p.server.call('GET', '/api/v1/deliveries?outcome=refused&limit=1'); await p.goto(p.base + '/deliveries/' + d.items[0].id); await p.getByText('Answered with').first().waitFor() } },
  { name: 'delivery', server: 'full', go: async (p) => { const d = await p.server.call('GET', '/api/v1/deliveries?outcome=accepted&limit=1'); await p.goto(p.base + '/deliveries/' + d.items[0].id); await p.getByText('Answered with').first().waitFor() } },
  { name: 'missing', server: 'full', go: async (p) => { await p.goto(p.base + '/nowhere'); await p.getByRole('heading', { name: 'There is no such page', level: 2 }).waitFor() } },
]

async function openRun(p, workflow, status) {
  const found = await p.server.call('GET', `/api/v1/runs?workflow=${workflow}&status=${status}&limit=1`)
  await p.goto(p.base + '/runs/' + found.items[0].id)
  await p.locator('main ol li').first().waitFor()
}

screens.push(
  { name: 'new', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/new'); await p.getByText('What should happen first?').waitFor(); await p.waitForTimeout(200) } },
  { name: 'editor-trigger', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake?step=triggers.form'); await p.getByLabel('Your address').waitFor(); await p.waitForTimeout(400) } },
  { name: 'editor-filter', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake?step=filter_1'); await p.getByLabel('Test', { exact: true }).waitFor(); await p.waitForTimeout(600) } },
  { name: 'editor-set', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake?step=steps.message'); await p.getByText('Add field').waitFor(); await p.waitForTimeout(600) } },
  { name: 'editor-use', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake?step=steps.tell'); await p.getByText('If this fails').waitFor(); await p.waitForTimeout(800) } },
  { name: 'editor-yaml', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake?view=yaml'); await p.locator('.cm-content').waitFor(); await p.waitForTimeout(300) } },
  { name: 'editor-settings', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake?view=settings'); await p.getByText('Keep these in order').waitFor() } },
  { name: 'editor-add', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake'); await p.getByRole('button', { name: 'Add a step after Only continue if' }).click(); await p.getByRole('option', { name: 'Prepare data' }).waitFor() } },
  { name: 'editor-publish', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake'); await p.getByRole('button', { name: 'Review and publish' }).click(); await p.getByText('What changes').waitFor() } },
  { name: 'editor-gone', server: 'full', faults: true, go: async (p) => { await p.goto(p.base + '/workflows/none'); await p.getByText('There is no such workflow').waitFor() } },
)

screens.push(
  { name: 'connections', server: 'full', go: async (p) => { await p.goto(p.base + '/connections'); await p.getByRole('heading', { level: 1 }).waitFor(); await p.waitForTimeout(300) } },
  { name: 'connections-add', server: 'full', go: async (p) => { await p.goto(p.base + '/connections'); await p.getByRole('button', { name: /Connect an app|Add/ }).first().click(); await p.locator('dialog[open]').waitFor(); await p.waitForTimeout(300) } },
  { name: 'apps', server: 'full', go: async (p) => { await p.goto(p.base + '/apps'); await p.getByRole('link', { name: /Slack/ }).first().waitFor() } },
  { name: 'app', server: 'full', go: async (p) => { await p.goto(p.base + '/apps/slack'); await p.getByRole('heading', { name: 'Slack', level: 1 }).waitFor(); await p.waitForTimeout(200) } },
  { name: 'templates', server: 'full', go: async (p) => { await p.goto(p.base + '/templates'); await p.getByRole('heading', { level: 2 }).first().waitFor() } },
  { name: 'settings', server: 'full', go: async (p) => { await p.goto(p.base + '/settings'); await p.getByRole('heading', { level: 2 }).first().waitFor() } },
)

screens.push(
  { name: 'menu', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows'); await p.getByRole('link', { name: 'Lead intake' }).waitFor(); await p.keyboard.press('ControlOrMeta+k'); await p.getByRole('option', { name: /Lead intake/ }).first().waitFor() } },
  { name: 'menu-no-match', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows'); await p.getByRole('link', { name: 'Lead intake' }).waitFor(); await p.keyboard.press('ControlOrMeta+k'); await p.getByRole('combobox').fill('zebra'); await p.getByText('Nothing is called').waitFor() } },
  { name: 'keys', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows'); await p.getByRole('link', { name: 'Lead intake' }).waitFor(); await p.keyboard.press('?'); await p.getByRole('heading', { name: 'Keyboard shortcuts' }).waitFor() } },
)

screens.push(
  { name: 'waiting', server: 'full', go: async (p) => { await p.goto(p.base + '/waiting'); await p.getByRole('heading', { name: 'Failed, and nobody has decided' }).waitFor(); await p.getByRole('heading', { name: 'Questions' }).waitFor() } },
  { name: 'waiting-empty', server: 'empty', go: async (p) => { await p.goto(p.base + '/waiting'); await p.getByText('Nothing waits for you').waitFor() } },
  { name: 'runs-again', server: 'full', go: async (p) => { await p.goto(p.base + '/runs?status=succeeded&workflow=new-hire'); await p.getByRole('button', { name: 'Run again all that match' }).click(); await p.getByText('Some of it has already happened').waitFor() } },
)
