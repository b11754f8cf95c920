// Every screen and state: what `make screenshots` takes pictures of and the browser tests look at with axe.
// `server` is one of full, empty; `go` opens it and returns when it shows what it should.
import { until } from '../scripts/server.mjs'
import { still } from './browser.mjs'

export const screens = [
  { name: 'welcome', server: 'empty', go: async (p) => { await p.goto(p.base + '/'); await p.getByRole('button', { name: 'When an app sends data, post it to Slack' }).waitFor(); await still(p) } },
  { name: 'workflows', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows'); await p.getByRole('link', { name: 'Lead intake' }).waitFor() } },
  { name: 'workflows-no-match', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows?q=zebra'); await p.getByText('No workflow matches').waitFor() } },
  { name: 'workflows-empty', server: 'empty', go: async (p) => { await p.goto(p.base + '/workflows'); await p.getByText('Nothing is automated yet').waitFor() } },
  { name: 'workflows-error', server: 'full', faults: true, go: async (p) => { await p.route('**/api/v1/workflows*', (r) => r.abort()); await p.goto(p.base + '/workflows'); await p.getByRole('alert').waitFor() } },
  { name: 'workflows-loading', server: 'full', go: async (p) => { await p.route('**/api/v1/workflows*', () => {}); await p.goto(p.base + '/workflows'); await p.locator('.bone').first().waitFor() } },
  { name: 'runs', server: 'full', go: async (p) => { await p.goto(p.base + '/runs'); await p.getByRole('link', { name: 'Invoice to ledger' }).first().waitFor() } },
  { name: 'runs-search', server: 'full', go: async (p) => { await p.goto(p.base + '/runs?q=lovelace'); await p.getByText(/^Searched/).waitFor() } },
  { name: 'runs-no-match', server: 'full', go: async (p) => { await p.goto(p.base + '/runs?status=canceled'); await p.getByText('No run is like that').waitFor() } },
  { name: 'runs-empty', server: 'empty', go: async (p) => { await p.goto(p.base + '/runs'); await p.getByText('No runs yet').waitFor() } },
  { name: 'runs-error', server: 'full', faults: true, go: async (p) => { await p.route('**/api/v1/runs*', (r) => r.abort()); await p.goto(p.base + '/runs'); await p.getByRole('alert').waitFor() } },
  { name: 'run-failed', server: 'full', go: async (p) => openRun(p, 'invoice-to-ledger', 'failed') },
  { name: 'run-save-test', server: 'full', go: async (p) => { await openRun(p, 'invoice-to-ledger', 'failed'); await p.getByRole('button', { name: 'Save as test' }).click(); await p.getByRole('region', { name: 'Changed lines' }).waitFor() } },
  { name: 'run-decide', server: 'full', go: async (p) => { await openRun(p, 'invoice-to-ledger', 'failed'); await p.getByRole('button', { name: 'Mark as done' }).click(); await p.getByLabel('What it gave back').waitFor() } },
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
  { name: 'new', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/new'); await p.getByText('What should happen first?').waitFor(); await still(p) } },
  { name: 'editor-trigger', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake?step=triggers.form'); await p.getByLabel('Your address').waitFor(); await still(p) } },
  { name: 'editor-filter', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake?step=filter_1'); await p.getByLabel('Test', { exact: true }).waitFor(); await p.getByRole('status').filter({ hasText: /passes|Stops here/ }).first().waitFor(); await still(p) } },
  { name: 'editor-set', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake?step=steps.message'); await p.getByText('Add field').waitFor(); await still(p) } },
  { name: 'editor-use', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake?step=steps.tell'); await p.getByText('If this fails').waitFor(); await still(p) } },
  { name: 'editor-yaml', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake?view=yaml'); await p.locator('.cm-content').waitFor(); await still(p) } },
  { name: 'editor-settings', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake?view=settings'); await p.getByText('Keep these in order').waitFor() } },
  { name: 'editor-add', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake'); await p.getByRole('button', { name: 'Add a step after Only continue if' }).click(); await p.getByRole('option', { name: 'Prepare data' }).waitFor() } },
  { name: 'editor-publish', server: 'full', go: async (p) => { await draft(p, 'amount > 100', 'amount > 250'); await p.goto(p.base + '/workflows/lead-intake'); await p.getByRole('button', { name: 'Review and publish' }).click(); await p.getByText(/^Of the last/).waitFor(); await p.getByText('Nothing is missing').waitFor() } },
  { name: 'editor-test', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake?step=steps.tell'); await p.getByRole('button', { name: 'Preview the request only' }).click(); await p.getByText('This would be sent').waitFor() } },
  { name: 'editor-try', server: 'full', go: async (p) => { await draft(p, 'amount > 100', 'amount > 250'); await p.goto(p.base + '/workflows/lead-intake?step=filter_1'); await p.getByRole('button', { name: 'Try past events' }).click(); await p.getByRole('button', { name: 'Last 50 events' }).click(); await p.getByText(/\d+ the same/).first().waitFor() } },
  { name: 'editor-try-run', server: 'full', go: async (p) => { const found = await p.server.call('GET', '/api/v1/runs?workflow=lead-intake&status=succeeded&limit=1'); await p.goto(p.base + '/workflows/lead-intake?try=' + found.items[0].id); await p.getByText('This run with the current draft').waitFor(); await p.getByText(/\d+ the same/).first().waitFor() } },
  { name: 'editor-history', server: 'full', go: async (p) => { await versions(p); await p.goto(p.base + '/workflows/route-request?view=history'); await p.getByRole('button', { name: 'What it changed, in lines' }).first().click(); await p.getByRole('region', { name: 'Changed lines' }).waitFor() } },
  { name: 'editor-history-empty', server: 'empty', go: async (p) => { await p.server.call('POST', '/api/v1/drafts', { id: 'fresh', text: 'triggers:\n  - webhook: {}\nsteps:\n  - set: {a: 1}\n' }).catch(() => {}); await p.goto(p.base + '/workflows/fresh?view=history'); await p.getByText('No version yet').waitFor() } },
  { name: 'editor-history-error', server: 'full', faults: true, go: async (p) => { await p.route('**/versions*', (r) => r.abort()); await p.goto(p.base + '/workflows/lead-intake?view=history'); await p.getByRole('alert').waitFor() } },
  { name: 'editor-map', server: 'full', go: async (p) => { await versions(p); await p.goto(p.base + '/workflows/route-request?view=map'); await p.locator('[data-map]').first().waitFor() } },
  { name: 'editor-map-tested', server: 'full', go: async (p) => { await versions(p); await p.goto(p.base + '/workflows/route-request?view=map'); await p.locator('[data-map]').first().waitFor(); await p.getByRole('button', { name: 'Test all steps' }).click(); await p.locator('[data-map]').filter({ hasText: 'Done' }).first().waitFor() } },
  { name: 'editor-paths', server: 'full', go: async (p) => { await versions(p); await p.goto(p.base + '/workflows/route-request?step=steps.route'); await p.getByText('Take this path if').first().waitFor(); await still(p) } },
  { name: 'editor-disk', server: 'full', go: async (p) => { await onDisk(p); await p.getByRole('button', { name: 'See the difference' }).waitFor() } },
  { name: 'editor-difference', server: 'full', go: async (p) => { await onDisk(p); await p.getByRole('button', { name: 'See the difference' }).click(); await p.getByRole('region', { name: 'Changed lines' }).waitFor() } },
  { name: 'editor-gone', server: 'full', faults: true, go: async (p) => { await p.goto(p.base + '/workflows/none'); await p.getByText('There is no such workflow').waitFor() } },
)

screens.push(
  { name: 'connections-empty', server: 'empty', go: async (p) => { await p.goto(p.base + '/connections'); await p.getByText('Connect your first app').waitFor() } },
  { name: 'connections', server: 'full', go: async (p) => { await accounts(p); await p.goto(p.base + '/connections'); await p.getByText('Not working').first().waitFor() } },
  { name: 'connections-error', server: 'full', faults: true, go: async (p) => { await p.route('**/api/v1/connections*', (r) => r.abort()); await p.goto(p.base + '/connections'); await p.getByRole('alert').waitFor() } },
  { name: 'connection', server: 'full', go: async (p) => { await accounts(p); await p.goto(p.base + '/connections/sales-slack'); await p.getByRole('link', { name: 'Announce a sale' }).waitFor() } },
  { name: 'connection-failing', server: 'full', go: async (p) => { await accounts(p); await p.goto(p.base + '/connections/old-slack'); await p.getByText('Not working').first().waitFor() } },
  { name: 'connection-gone', server: 'full', faults: true, go: async (p) => { await p.goto(p.base + '/connections/none'); await p.getByRole('link', { name: 'All connections' }).waitFor() } },
  { name: 'run-map', server: 'full', go: async (p) => { await versions(p); const run = await until(async () => (await p.server.call('GET', '/api/v1/runs?workflow=route-request&status=succeeded&limit=1')).items[0], { what: 'the run' }); await p.goto(`${p.base}/runs/${run.id}?view=map`); await p.locator('[data-map]').filter({ hasText: 'of 2 rounds' }).waitFor() } },
  { name: 'connections-add', server: 'full', go: async (p) => { await p.goto(p.base + '/connections'); await p.getByRole('button', { name: /Connect an app|Add/ }).first().click(); await p.locator('dialog[open]').waitFor(); await still(p) } },
  { name: 'apps', server: 'full', go: async (p) => { await p.goto(p.base + '/apps'); await p.getByRole('link', { name: /Slack/ }).first().waitFor() } },
  { name: 'app', server: 'full', go: async (p) => { await p.goto(p.base + '/apps/slack'); await p.getByRole('heading', { name: 'Slack', level: 1 }).waitFor(); await still(p) } },
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

screens.push(
  { name: 'poll', server: 'full', go: async (p) => { await watched(p); await p.goto(p.base + '/workflows/watch-orders/triggers/order'); await p.getByText('said that nothing has changed').first().waitFor(); await p.getByRole('link', { name: 'Its run' }).first().waitFor() } },
  { name: 'poll-dry', server: 'full', go: async (p) => { await watched(p); await p.goto(p.base + '/workflows/watch-more/triggers/poll'); await p.getByRole('button', { name: 'See what it would start' }).click(); await p.getByText('Would start 2 runs').waitFor(); await p.locator('dialog summary').first().click() } },
  { name: 'poll-rewind', server: 'full', go: async (p) => { await watched(p); await p.goto(p.base + '/workflows/watch-orders/triggers/order'); await p.getByRole('button', { name: 'Change what it knows' }).click(); await p.getByRole('menuitem', { name: /Rewind/ }).click(); await p.getByText(/^Forgets \d+ items/).waitFor() } },
  { name: 'poll-fresh', server: 'full', go: async (p) => { await watched(p); await p.goto(p.base + '/workflows/watch-more/triggers/poll'); await p.getByRole('button', { name: 'Change what it knows' }).click(); await p.getByRole('menuitem', { name: /Start afresh/ }).click(); await p.getByText('2 items that are new start no run.').waitFor() } },
  { name: 'poll-failing', server: 'full', go: async (p) => { await watched(p); await p.goto(p.base + '/workflows/watch-closed/triggers/poll'); await p.getByRole('alert').waitFor() } },
  { name: 'poll-never', server: 'full', go: async (p) => { await watched(p); await p.goto(p.base + '/workflows/watch-later/triggers/poll'); await p.getByText('It knows nothing yet').waitFor() } },
  { name: 'poll-off', server: 'full', go: async (p) => { await watched(p); await p.goto(p.base + '/workflows/watch-off/triggers/poll'); await p.getByText('This workflow is off, so it does not look').waitFor() } },
  { name: 'poll-dry-failed', server: 'full', faults: true, go: async (p) => { await watched(p); await p.goto(p.base + '/workflows/watch-closed/triggers/poll'); await p.getByRole('button', { name: 'See what it would start' }).click(); await p.getByRole('dialog').getByRole('alert').waitFor() } },
  { name: 'poll-gone', server: 'full', faults: true, go: async (p) => { await p.goto(p.base + '/workflows/lead-intake/triggers/none'); await p.getByText('There is no such trigger').first().waitFor() } },
  { name: 'poll-error', server: 'full', faults: true, go: async (p) => { await p.route('**/api/v1/**/triggers/*', (r) => r.abort()); await p.goto(p.base + '/workflows/support-triage/triggers/new_issue'); await p.getByRole('alert').waitFor() } },
  { name: 'poll-loading', server: 'full', go: async (p) => { await p.route('**/api/v1/**/triggers/*', () => {}); await p.goto(p.base + '/workflows/support-triage/triggers/new_issue'); await p.locator('.bone').first().waitFor() } },
  { name: 'trigger-webhook', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows/lead-intake/triggers/form'); await p.getByText('Last calls').waitFor() } },
  { name: 'trigger-schedule', server: 'full', go: async (p) => { await versions(p); await p.goto(p.base + '/workflows/route-request/triggers/nightly'); await p.getByText('Next times').waitFor() } },
  { name: 'editor-poll', server: 'full', go: async (p) => { await watched(p); await p.goto(p.base + '/workflows/watch-orders?step=triggers.order'); await p.getByText('What it knows, and what it would start').waitFor() } },
)
/** Polls that stand in every way: with many items, failing, never made, off, with something new. */
const watched = ({ server }) => (server.watched ??= watch(server)) // two pages at a time ask for them
async function watch(server) {
  const { feeds } = server.sink
  const order = (i) => ({ id: `ORD-2026-${1000 + i}`, customer: ['Ada Lovelace', 'Grace Hopper', 'Barbara Liskov'][i % 3], total: 40 + 17 * i, updated_at: `2026-03-0${1 + (i % 9)}T09:0${i % 10}:00Z`, lines: [{ title: 'Loom', count: i }] })
  const many = Array.from({ length: 70 }, (_, i) => order(i))
  many.push({ ...order(70), id: 'urn:shop:order:' + 'a-very-long-key-that-goes-on-'.repeat(9) + 'end' })
  feeds.orders = { items: many.slice(0, 60) }
  feeds.more = { items: many.slice(0, 3) }
  feeds.closed = { status: 503 }
  feeds.later = { silent: true }
  const source = (feed, id, how, extra = '') => `name: Watch the orders of the shop\n${extra}triggers:\n  - id: ${id}\n    poll: {${how}, use: http.request, with: {method: GET, url: "${server.sink.url}/feed/${feed}"}, items: output.body, key: item.id, version: item.updated_at}\nsteps:\n  - set: {customer: "\${{ trigger.item.customer }}"}\n`
  await server.publish('watch-orders', source('orders', 'order', 'every: 1h'))
  await server.publish('watch-more', source('more', 'poll', 'every: 1h'))
  await server.publish('watch-closed', source('closed', 'poll', 'every: 10s'))
  await server.publish('watch-later', source('later', 'poll', 'every: 1h'))
  await server.publish('watch-off', source('orders', 'poll', 'every: 5m', 'enabled: false\n'))
  const look = (id, t = 'poll') => server.call('POST', `/api/v1/workflows/${id}/triggers/${t}/poll`, {})
  for (const [id, t] of [['watch-orders', 'order'], ['watch-more', 'poll'], ['watch-closed', 'poll']]) await look(id, t)
  feeds.orders = { items: many }
  feeds.more = { items: [...many.slice(0, 2), { ...many[2], updated_at: '2026-03-28T10:00:00Z' }, many[3]] }
  await look('watch-orders', 'order')
  await look('watch-orders', 'order')
}
/** A draft whose file was changed on disk. */
async function onDisk(p) {
  const { server } = p
  const id = 'changed-on-disk'
  const source = (limit, text) => `name: Orders that are large\ntriggers:\n  - webhook: {path: ${id}}\nsteps:\n  - filter: trigger.body.amount > ${limit}   # agreed with sales\n  - id: tell\n    name: Send channel message\n    use: http.request\n    with: {method: POST, url: "${server.sink.url}/chat", json: {channel: "#sales", text: "${text}"}}\n`
  if (!(await fetch(`${server.url}/api/v1/workflows/${id}`)).ok) {
    await server.publish(id, source(100, 'New'))
    await server.call('PUT', `/api/v1/drafts/${id}/text`, { text: source(250, 'New') }, { 'If-Match': '*' })
    await server.publish(id, source(100, 'A new order of \${{ trigger.body.name }}, who has been waiting for an answer since the morning and would like to hear from somebody'))
  }
  await p.goto(p.base + '/workflows/' + id)
}
/** Changes the draft of lead-intake, so that past events end in another way. */
async function draft(p, before, after) {
  const { text } = await p.server.call('GET', '/api/v1/drafts/lead-intake')
  await p.server.call('PUT', '/api/v1/drafts/lead-intake/text', { text: text.replace(before, after) }, { 'If-Match': '*' })
}

/** A workflow with paths, a loop, parts and steps for failures, in three versions. */
async function versions(p) {
  const source = (limit, extra) => `name: Route a request
description: Refunds need a person, everything else goes on by itself.
triggers:
  - id: form
    webhook: {path: route-request}
  - id: nightly
    schedule: {cron: "0 3 * * *", timezone: Europe/Berlin}
steps:
  - filter: trigger.body.amount > ${limit}
  - id: route
    paths:
      - name: Refund
        when: trigger.body.kind == "refund"
        steps:
          - id: ask
            name: Ask the front desk
            approve: {message: "Refund \${{ trigger.body.amount }}?", timeout: 3d}
          - name: Pay it back
            set: {paid: "\${{ trigger.body.amount }}"}
      - name: Order
        when: trigger.body.kind == "order"
        steps:
          - id: lines
            name: Each line of the order
            for_each: {in: trigger.body.items, as: line, concurrency: 4}
            steps:
              - name: Prepare the line
                set: {title: "\${{ upper(line.title) }}"}
      - name: Anything else
        steps: []
  - id: both
    name: Tell everybody
    parallel:
      - name: sales
        steps:
          - name: Note for sales
            set: {to: sales}
            on_error:
              - name: Note that it failed
                set: {failed: true}
      - name: support
        steps:
          - name: Note for support
            set: {to: support}
${extra}on_failure:
  - name: Tell the person on call
    set: {failed: "\${{ error.message }}"}
`
  const id = 'route-request'
  const there = await fetch(`${p.server.url}/api/v1/workflows/${id}`)
  if (there.ok) return
  for (const text of [source(10, ''), source(50, '  - name: Note the end\n    set: {done: true}\n'), source(100, '  - name: Note the end\n    set: {done: true}\n')]) await p.server.publish(id, text)
  await fetch(`${p.server.url}/hooks/${id}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ kind: 'order', amount: 240, items: [{ title: 'Loom' }, { title: 'Card' }] }) })
}

/** Accounts that work, that stopped to work, and that a shop's laws ask about. */
async function accounts(p) {
  const there = (await p.server.call('GET', '/api/v1/connections')).items
  if (there.some((c) => c.name === 'sales-slack')) return
  const make = (name, body) => p.server.call('POST', '/api/v1/connections', { name, ...body })
  await make('sales-slack', { connector: 'slack', auth: 'webhook', values: { url: p.server.sink.url + '/services/T1/B1/x' } })
  await make('old-slack', { connector: 'slack', auth: 'webhook', values: { url: p.server.sink.url + '/nothing-here' } })
  await make('my-shop', { connector: 'shopify', auth: 'token', values: { shop: 'acme', token: 'shpat_1', signing_secret: 's' } })
  for (const name of ['sales-slack', 'old-slack']) await p.server.call('POST', `/api/v1/connections/${name}/test`)
  await p.server.publish('announce', 'name: Announce a sale\ntriggers: [{webhook: {path: announce}}]\nsteps:\n  - use: slack.post_message\n    connection: sales-slack\n    with: {channel: "#sales", text: "A sale"}\n')
}
