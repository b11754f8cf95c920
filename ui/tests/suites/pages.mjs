// What the pages around the editor do: the command menu, runs in bulk, dead letters, cursors, approvals, requests of privacy laws.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { seedRuns } from '../bellhop.mjs'
import { axe, overflow } from '../browser.mjs'
import { keyboard, pointer } from '../hands.mjs'
import { until } from '../../scripts/server.mjs'
import { scene } from '../scene.mjs'

export async function before(world, { startBellhop }) {
  world.servers = { full: await startBellhop({ sink: world.sink }) }
  await seedRuns(world.servers.full, { many: 6 })
}

export function tests(world) {
  const { bell, hook, task } = scene(world)
  const both = (name, run) => [pointer, keyboard].map((way) => task(`${name} by ${way.name}`, (page) => run(page, way(page))))
  let made = 0
  /** A run of a new workflow whose second step asks an address of the outside world. */
  const runOf = async (address, status) => {
    const id = `decide-${++made}-${Date.now()}`
    await bell().publish(id, `triggers:\n  - webhook: {path: ${id}}\nsteps:\n  - set: {ok: true}\n  - id: book\n    name: Book it\n    use: http.request\n    with: {method: POST, url: "${world.sink.url}${address}"}\n    retry: {attempts: 1}\n  - name: Note it\n    set: {number: "\${{ steps.book.number }}"}\n`)
    const begun = world.sink.calls.length
    await hook(id, { n: 1 })
    if (status === 'unknown') {
      await until(() => world.sink.calls.slice(begun).some((c) => c.path === address), { what: 'the call' })
      await bell().crash()
    }
    return until(async () => (await bell().call('GET', `/api/v1/runs?workflow=${id}&status=failed`)).items[0]?.id, { what: 'the failed run' })
  }
  const detail = (id) => bell().call('GET', `/api/v1/runs/${id}`)
  const idOf = (page) => new URL(page.url()).pathname.split('/').at(-1)
  return [
    ...both('a failed run: marked as done with an output, it goes on behind it', async (page, hands) => {
      const failed = await runOf('/nothing-here')
      await page.goto(`${page.base}/runs/${failed}`)
      const alert = page.getByRole('alert')
      await hands.press(alert.getByRole('button', { name: 'Mark as done' }))
      const dialog = page.getByRole('dialog')
      await dialog.getByText('Nothing is sent for this step.').waitFor()
      await hands.fill(dialog.getByLabel('What it gave back'), '{"number": ')
      await hands.press(dialog.getByRole('button', { name: 'Go on behind it' }))
      await dialog.getByText(/This is not JSON/).waitFor()
      assert.equal((await detail(failed)).decision, undefined)
      await hands.fill(dialog.getByLabel('What it gave back'), '{"number": "RE-7"}')
      const calls = world.sink.calls.length
      await hands.press(dialog.getByRole('button', { name: 'Go on behind it' }))
      await page.getByText('It counts as done.').waitFor()
      await page.getByText('repeats an earlier run').waitFor()
      const after = await until(async () => { const r = await detail(idOf(page)); return r.finished_at && r }, { what: 'the new run' })
      assert.equal(after.status, 'succeeded')
      assert.deepEqual(after.steps.at(-1).output, { number: 'RE-7' })
      assert.equal(world.sink.calls.length, calls, 'something was sent')
      await page.goto(`${page.base}/runs/${failed}`)
      await alert.getByText('Decided: it counts as done').waitFor()
    }),
    ...both('a run becomes a test beside its workflow, without secrets', async (page, hands) => {
      const id = `saved-${Date.now()}`
      await bell().publish(id, `triggers:\n  - webhook: {path: ${id}}\nsteps:\n  - id: order\n    set: {total: "\${{ trigger.body.amount * 2 }}"}\n`)
      const file = `${bell().dir}/workflows/${id}.test.yaml`
      await hook(id, { amount: 21, api_token: 'hush-hush' })
      const run = await until(async () => (await bell().call('GET', `/api/v1/runs?workflow=${id}&status=succeeded`)).items[0]?.id, { what: 'the run' })
      await page.goto(`${page.base}/runs/${run}`)
      await hands.press(page.getByRole('button', { name: 'Save as test' }))
      const dialog = page.getByRole('dialog')
      const lines = dialog.getByRole('region', { name: 'Changed lines' })
      await lines.getByText(/total: 42/).waitFor()
      assert.ok(!(await lines.textContent()).includes('hush-hush'), 'a secret is shown')
      assert.ok(!existsSync(file), 'it wrote before it was told to')
      await hands.fill(dialog.getByRole('textbox', { name: 'Name of the test' }), 'twice the amount')
      await lines.getByText(/name: twice the amount/).waitFor()
      await hands.press(dialog.getByRole('button', { name: 'Write the test' }))
      await page.getByText(`Saved in workflows/${id}.test.yaml.`).waitFor()
      const text = readFileSync(file, 'utf8')
      assert.ok(text.includes('twice the amount') && !text.includes('hush-hush'), text)
      // From a trial: the same run again, under another name, behind the first.
      await page.goto(`${page.base}/workflows/${id}?try=${run}`)
      await hands.press(page.getByRole('dialog').locator('.event[aria-expanded]').first())
      await hands.press(page.getByRole('button', { name: 'Save as test' }))
      await hands.fill(page.getByRole('textbox', { name: 'Name of the test' }), 'twice the amount')
      await page.getByText('there is a test of this name already').waitFor()
      assert.ok(await page.getByRole('button', { name: 'Write the test' }).isDisabled())
      await hands.fill(page.getByRole('textbox', { name: 'Name of the test' }), 'once more')
      await page.getByText('there is a test of this name already').waitFor({ state: 'hidden' })
      await hands.press(page.getByRole('button', { name: 'Write the test' }))
      await until(() => readFileSync(file, 'utf8').includes('once more'), { what: 'the second test' })
      assert.ok(readFileSync(file, 'utf8').startsWith(text), 'the first test was changed')
    }),
    ...both('a failed run: tried again, then left as it is', async (page, hands) => {
      const failed = await runOf('/nothing-here')
      await page.goto(`${page.base}/runs/${failed}`)
      const alert = page.getByRole('alert')
      await hands.press(alert.getByRole('button', { name: 'Try again from there' }))
      await page.waitForURL((url) => !url.pathname.endsWith(failed))
      assert.equal((await detail(failed)).decision, 'again')
      await alert.getByText('answered 404').first().waitFor()
      await hands.press(alert.getByRole('button', { name: 'Leave it' }))
      await alert.getByText('Decided: it is left as it is.').waitFor()
      assert.equal((await detail(idOf(page))).decision, 'give_up')
    }),
    ...both('a run whose outcome nobody knows: it happened, go on', async (page, hands) => {
      const run = await runOf('/slow', 'unknown')
      await page.goto(`${page.base}/runs/${run}`)
      const alert = page.getByRole('alert')
      await alert.getByText('Did “Book it” happen?').waitFor()
      await alert.getByRole('button', { name: 'It did not happen, send it again' }).waitFor()
      const calls = world.sink.calls.length
      await hands.press(alert.getByRole('button', { name: 'It happened, go on' }))
      await hands.press(page.getByRole('dialog').getByRole('button', { name: 'Go on behind it' }))
      await page.getByText('repeats an earlier run').waitFor()
      await until(async () => (await detail(idOf(page))).status === 'succeeded', { what: 'the run that goes on' })
      assert.equal(world.sink.calls.length, calls, 'it was sent again')
    }),
    task('runs again in bulk: what it repeats is said, and the server goes on when the page is left', async (page) => {
      await page.goto(page.base + '/runs?workflow=new-hire&status=succeeded')
      const matches = (await bell().call('GET', '/api/v1/runs?workflow=new-hire&status=succeeded&limit=200')).items.length
      await page.getByRole('button', { name: 'Run again all that match' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText(/welcome \(http.request\)/).waitFor()
      await dialog.getByRole('textbox', { name: /Runs that begin/ }).fill('1')
      await dialog.getByRole('button', { name: `Run again ${matches} runs` }).click()
      await page.getByRole('status').filter({ hasText: `of ${matches} begun` }).waitFor()
      await page.getByRole('link', { name: 'Settings' }).click()
      await page.getByRole('heading', { name: 'Settings', level: 1 }).waitFor()
      await page.reload()
      await page.goto(page.base + '/runs')
      await page.getByRole('status').filter({ hasText: `of ${matches} begun` }).waitFor()
      await page.getByText(`${matches} of ${matches} runs began again.`).waitFor({ timeout: 20000 })
    }),
    task('the page of a run asks the question that it waits for, and keeps the focus', async (page) => {
      const id = `asks-${Date.now()}`
      await bell().publish(id, `triggers:\n  - webhook: {path: ${id}}\nsteps:\n  - approve: {message: "Ship \${{ trigger.body.what }}?"}\n`)
      const { run } = await bell().call('POST', `/hooks/${id}`, { what: 'the looms' })
      await page.goto(`${page.base}/runs/${run}`)
      await page.getByText('Ship the looms?').first().waitFor()
      await page.getByRole('button', { name: 'Decline', exact: true }).click()
      await page.getByText('Declined.').waitFor()
      await page.getByRole('button', { name: 'Decline', exact: true }).waitFor({ state: 'detached' })
      await page.locator('h1:focus').waitFor()
      await page.getByText('Stopped by filter').first().waitFor()
    }),
    task('what waits: a question is approved, a failed run is left', async (page) => {
      await page.goto(page.base + '/waiting')
      const question = page.getByRole('listitem').filter({ hasText: 'Pay 129 back for order R-77?' })
      await question.getByRole('button', { name: 'Approve' }).click()
      await question.waitFor({ state: 'hidden' })
      const letter = page.getByRole('listitem').filter({ hasText: 'Invoice to ledger' }).first()
      await letter.getByRole('button', { name: 'Decide' }).click()
      await page.getByRole('menuitem', { name: /Leave it/ }).click()
      await page.getByText('Left as it is.').waitFor()
      // Lists lag a moment behind.
      await until(async () => (await bell().call('GET', '/api/v1/runs?workflow=refunds&status=succeeded')).items.length > 0, { what: 'the approved run' })
      await until(async () => (await bell().call('GET', '/api/v1/runs?workflow=invoice-to-ledger&needs=decision')).items.length === 0, { what: 'the decision' })
    }),
    task(
      'on a phone the bar has three places and More, with all the rest',
      async (page) => {
        await page.goto(page.base + '/workflows')
        await page.getByRole('navigation').getByRole('button', { name: 'More' }).click()
        const sheet = page.getByRole('list', { name: 'More' })
        for (const name of ['Apps', 'Templates', 'Settings']) await sheet.getByRole('link', { name }).waitFor()
        await sheet.getByRole('button', { name: 'Search' }).waitFor()
        assert.deepEqual(await axe(page), [])
        assert.ok((await overflow(page)) <= 0)
        await page.screenshot({ path: new URL('../../screenshots/more-390.png', import.meta.url).pathname })
        await sheet.getByRole('link', { name: 'Apps' }).click()
        await page.waitForURL('**/apps')
        await sheet.waitFor({ state: 'hidden' })
      },
      { width: 390, height: 844 },
    ),
    task('the command menu opens a workflow, turns it off, goes to a page', async (page) => {
      await page.goto(page.base + '/settings')
      await page.getByRole('heading', { name: 'Settings', level: 1 }).waitFor()
      await page.keyboard.press('ControlOrMeta+k')
      const field = page.getByRole('combobox', { name: /Where to/ })
      await field.waitFor()
      await page.keyboard.type('new hire')
      await page.getByRole('option', { name: /^New hire checklist/ }).waitFor()
      await page.keyboard.press('Enter')
      await page.waitForURL('**/workflows/new-hire')
      await page.keyboard.press('ControlOrMeta+k')
      await field.waitFor()
      await page.keyboard.type('turn off support')
      await page.getByRole('option', { name: 'Turn off Support triage', selected: true }).waitFor()
      await page.keyboard.press('Enter')
      await page.getByText('Support triage is off.').waitFor()
      assert.equal((await bell().call('GET', '/api/v1/workflows/support-triage')).enabled, false)
      await bell().call('PUT', '/api/v1/workflows/support-triage/enabled', { enabled: true })
      await page.keyboard.press('ControlOrMeta+k')
      await field.waitFor()
      await page.keyboard.press('Escape')
      await field.waitFor({ state: 'hidden' })
      await page.evaluate(() => document.activeElement?.blur())
      await page.keyboard.press('g')
      await page.keyboard.press('r')
      await page.waitForURL('**/runs')
    }),
  ]
}
