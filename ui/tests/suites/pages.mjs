// What the pages around the editor do: the command menu, runs in bulk, dead letters, cursors, approvals, requests of privacy laws.
import assert from 'node:assert/strict'
import { seedRuns } from '../bellhop.mjs'
import { scene } from '../scene.mjs'

export async function before(world, { startBellhop }) {
  world.servers = { full: await startBellhop({ sink: world.sink }) }
  await seedRuns(world.servers.full, { many: 6 })
}

export function tests(world) {
  const { bell, task } = scene(world)
  return [
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
