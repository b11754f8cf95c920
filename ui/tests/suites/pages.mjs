// What the pages around the editor do: the command menu, runs in bulk, dead letters, cursors, approvals, requests of privacy laws.
import assert from 'node:assert/strict'
import { seedRuns } from '../bellhop.mjs'
import { until } from '../../scripts/server.mjs'
import { scene } from '../scene.mjs'

export async function before(world, { startBellhop }) {
  world.servers = { full: await startBellhop({ sink: world.sink }) }
  await seedRuns(world.servers.full, { many: 6 })
}

export function tests(world) {
  const { bell, task } = scene(world)
  return [
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
