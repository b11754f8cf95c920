// The page of a poll: what it says of where the poll stands, and that each of its buttons does what it said before, and
// nothing else. By pointer and by keyboard.
import assert from 'node:assert/strict'
import { until } from '../../scripts/server.mjs'
import { keyboard, pointer } from '../hands.mjs'
import { scene } from '../scene.mjs'

export async function before(world, { startBellhop }) {
  world.servers = { full: await startBellhop({ sink: world.sink }) }
}

let made = 0

export function tests(world) {
  const { bell, task } = scene(world)
  const both = (name, run) => [pointer, keyboard].map((way) => task(`${name} by ${way.name}`, (page) => run(page, way(page))))
  const { feeds } = world.sink
  const items = (...ids) => ids.map((id) => ({ id, title: `Order ${id}` }))
  /** A workflow that watches a feed of its own and has looked once: what was there starts nothing. */
  const watch = async (ids, more = '') => {
    const id = `watch-${++made}`
    feeds[id] = { items: items(...ids) }
    await bell().publish(id, `name: Watch ${id}\n${more}triggers:\n  - poll: {every: 1h, use: http.request, with: {method: GET, url: "${world.sink.url}/feed/${id}"}, items: output.body, key: item.id}\nsteps:\n  - set: {title: "\${{ trigger.item.title }}"}\n`)
    if (!more) await look(id)
    return id
  }
  const at = (id) => `/api/v1/workflows/${id}/triggers/poll`
  const look = (id) => bell().call('POST', at(id) + '/poll', {})
  const state = async (id) => (await bell().call('GET', at(id))).poll
  const runs = async (id) => (await bell().call('GET', `/api/v1/runs?workflow=${id}`)).items.length
  const open = async (page, id) => {
    await page.goto(`${page.base}/workflows/${id}/triggers/poll`)
    await page.getByRole('heading', { name: 'Where it stands' }).waitFor()
  }

  return [
    ...both('a dry poll says what would start, and changes nothing', async (page, hands) => {
      const id = await watch(['A-1', 'A-2'])
      await page.goto(`${page.base}/workflows/${id}`)
      await page.getByText('Remembered 2 items and started nothing').waitFor()
      await hands.press(page.getByRole('link', { name: 'What it knows, and what it would start' }))
      await page.getByRole('heading', { name: 'The 2 items it knows' }).waitFor()
      feeds[id].items = items('A-1', 'A-2', 'A-3', 'A-4', 'A-5', 'A-6')
      const before = await state(id)
      await hands.press(page.getByRole('button', { name: 'See what it would start' }))
      const dialog = page.getByRole('dialog')
      await dialog.getByText('Would start 4 runs').waitFor()
      await dialog.getByText('6 items are there, 4 of them new or changed.').waitFor()
      await hands.press(dialog.locator('summary').filter({ hasText: 'A-4New' }))
      await dialog.getByText('Order A-4', { exact: true }).waitFor()
      assert.deepEqual(await state(id), before, 'a dry poll changed something')
      assert.equal(await runs(id), 0, 'a dry poll started a run')
      // And then for real, which is said once more before it happens.
      await hands.press(dialog.getByRole('button', { name: 'Look now for real' }))
      await page.getByText('what is new starts runs, for real').waitFor()
      assert.equal(await runs(id), 0, 'it looked before it was confirmed')
      await hands.press(page.getByRole('dialog').getByRole('button', { name: 'Look now', exact: true }))
      await page.getByText('6 items, 4 new: 4 runs started.').first().waitFor()
      await page.getByRole('listitem').filter({ hasText: 'A-6' }).getByRole('link', { name: 'Its run' }).waitFor()
      assert.equal((await state(id)).seen, 6)
    }),
    ...both('rewind to a time: how many are forgotten is said first, and the runs come again', async (page, hands) => {
      const id = await watch(['B-1'])
      feeds[id].items = items('B-1', 'B-2', 'B-3')
      await look(id)
      await open(page, id)
      await hands.press(page.getByRole('button', { name: 'Change what it knows' }))
      await hands.press(page.getByRole('menuitem', { name: /Rewind to a time/ }))
      const dialog = page.getByRole('dialog')
      await dialog.getByText('Forgets 3 items. The next look may start 3 runs.').waitFor()
      assert.equal((await state(id)).seen, 3, 'it forgot before it was confirmed')
      await dialog.getByLabel('Forget everything seen at or after').fill('2999-01-01T00:00')
      await dialog.getByText('Forgets nothing').waitFor()
      assert.ok(await dialog.getByRole('button', { name: 'Rewind', exact: true }).isDisabled())
      await hands.press(dialog.getByRole('button', { name: 'An hour ago' }))
      await hands.press(dialog.getByRole('button', { name: 'Forget 3 items' }))
      await page.getByText('3 items are forgotten.').waitFor()
      await page.getByText('It knows nothing yet').waitFor()
      const before = await runs(id)
      await look(id)
      await until(async () => (await runs(id)) === before + 3, { what: 'three runs' })
    }),
    ...both('start afresh: what is there is remembered and starts nothing', async (page, hands) => {
      const id = await watch(['C-1'])
      feeds[id].items = items('C-1', 'C-2', 'C-3')
      await open(page, id)
      await hands.press(page.getByRole('button', { name: 'Change what it knows' }))
      await hands.press(page.getByRole('menuitem', { name: /Start afresh/ }))
      await page.getByText('2 items that are new start no run.').waitFor()
      assert.equal((await state(id)).seen, 1, 'it changed before it was confirmed')
      await hands.press(page.getByRole('button', { name: 'Remember it, start nothing' }))
      await page.getByText('2 items are remembered; nothing was started.').waitFor()
      await page.getByRole('heading', { name: 'The 3 items it knows' }).waitFor()
      await look(id)
      assert.equal(await runs(id), 0)
    }),
    ...both('one item is found and forgotten', async (page, hands) => {
      const id = await watch(['D-1', 'D-2', 'D-30'])
      await open(page, id)
      await hands.fill(page.getByRole('textbox', { name: 'Find an item' }), 'd-3')
      await page.getByRole('button', { name: 'Forget D-1' }).waitFor({ state: 'hidden' })
      await hands.press(page.getByRole('button', { name: 'Forget D-30' }))
      await page.getByText('the next look starts a run for it again').waitFor()
      await hands.press(page.getByRole('button', { name: 'Forget it' }))
      await page.getByText('1 item is forgotten.').waitFor()
      await page.getByText('No item is called “d-3”').waitFor()
      assert.equal((await state(id)).seen, 2)
    }),
    task('a poll that fails says why, that nothing is lost, and when it tries again', async (page) => {
      const id = await watch(['E-1'])
      await open(page, id)
      await page.getByText('Remembered 1 item and started nothing').first().waitFor()
      feeds[id].status = 503
      await look(id) // the page hears of it
      const alert = page.getByRole('alert')
      await alert.getByText('The last look failed').waitFor()
      await alert.getByText(/503/).first().waitFor()
      await alert.getByText(/It tries again in .* Nothing is lost/).waitFor()
      delete feeds[id].status
      await alert.getByRole('button', { name: 'Look now' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Look now', exact: true }).click()
      await page.getByText(/said that nothing has changed/).first().waitFor() // 304: its mark was kept
      await alert.waitFor({ state: 'hidden' })
    }),
    task('a poll that is off says so; turned on, its first look starts nothing', async (page) => {
      const id = await watch(['F-1', 'F-2'], 'enabled: false\n')
      await open(page, id)
      await page.getByText('This workflow is off, so it does not look').waitFor()
      assert.ok(await page.getByRole('button', { name: 'Look now' }).isDisabled())
      await page.getByRole('button', { name: 'See what it would start' }).click()
      await page.getByText('Would remember 2 items and start nothing').waitFor()
      await page.keyboard.press('Escape')
      await page.getByRole('button', { name: 'Turn it on' }).click()
      await page.getByText('Remembered 2 items and started nothing').first().waitFor()
      assert.equal(await runs(id), 0)
    }),
  ]
}
