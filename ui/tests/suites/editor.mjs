// The editor: what it sends and when, what happens to a draft that somebody else changes, and its newcomer tasks by
// pointer and by keyboard.
import assert from 'node:assert/strict'
import { keyboard, pointer } from '../hands.mjs'
import { scene } from '../scene.mjs'

export async function before(world, { startBellhop }) {
  world.servers = { full: await startBellhop({ sink: world.sink }) }
}

let made = 0

export function tests(world) {
  const { bell, workflow, lead, task } = scene(world)
  const id = (name) => `${name}-${++made}` // a second try begins anew
  const both = (name, run) => [pointer, keyboard].map((way) => task(`${name} by ${way.name}`, (page) => run(page, way(page))))
  const chats = () => world.sink.calls.filter((c) => c.path === '/chat').length
  /** A workflow that has had its event and is quiet again. */
  const quiet = async (name, source) => {
    const before = chats()
    await workflow(name, source)
    for (let i = 0; chats() === before; i++) {
      assert.ok(i < 100, 'the event was not handled')
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await bell().settle()
  }

  return [
    ...both('test one step: what it really does is said first', async (page, hands) => {
      const one = id('one')
      await quiet(one, lead(one))
      const tries = []
      page.on('request', (r) => r.url().endsWith('/steps/tell/test') && tries.push(r.postDataJSON()))
      await page.goto(`${page.base}/workflows/${one}?step=steps.tell`)
      const before = chats()
      await hands.press(page.getByRole('button', { name: 'Preview the request only' }))
      await page.getByText('This would be sent').waitFor()
      await hands.press(page.getByRole('button', { name: 'Test this step' }))
      const confirm = page.getByRole('button', { name: 'Send a real request' })
      await confirm.waitFor()
      assert.deepEqual(tries.map((x) => x.mode), ['preview'], 'it was tried before it was confirmed')
      assert.equal(chats(), before, 'it was sent before it was confirmed')
      await hands.press(confirm)
      await page.getByText(/^Done in/).waitFor()
      assert.equal(chats(), before + 1)
      await page.getByRole('region', { name: 'Came back' }).getByText('1712.0001', { exact: true }).waitFor()
    }),
    ...both('test all steps: pretended unless asked for', async (page, hands) => {
      const every = id('every')
      await quiet(every, lead(every))
      await page.goto(`${page.base}/workflows/${every}`)
      const card = page.locator('[data-path]').filter({ hasText: 'Send channel message' })
      await card.waitFor()
      const before = chats()
      await hands.press(page.getByRole('button', { name: 'Test all steps' }))
      await page.getByText('Steps that change something were pretended.').waitFor()
      await card.getByText('Done').waitFor()
      assert.equal(chats(), before, 'a pretended test sent something')
      await hands.press(page.getByRole('button', { name: 'How to test' }))
      await hands.press(page.getByRole('menuitem', { name: /Really send/ }))
      const confirm = page.getByRole('button', { name: 'Do every step for real' })
      await confirm.waitFor()
      assert.equal(chats(), before, 'it was sent before it was confirmed')
      await hands.press(confirm)
      await page.getByText('Every step was really done.').waitFor()
      await card.getByText('Done').waitFor()
      assert.equal(chats(), before + 1)
    }),
    task('a test that goes on is followed only while its page is there', async (page) => {
      const long = id('long')
      await workflow(long, `triggers:\n  - webhook: {path: ${long}}\nsteps:\n  - wait: {for: 2h}\n`)
      await page.goto(`${page.base}/workflows/${long}`)
      await page.getByRole('button', { name: 'Test all steps' }).click()
      await page.getByRole('button', { name: 'Stop' }).waitFor()
      const asked = []
      page.on('request', (r) => /\/api\/v1\/(runs\/|events)/.test(r.url()) && asked.push(r.url()))
      await page.waitForTimeout(1500) // long enough for any poll to show
      assert.deepEqual(asked, [], 'it is asked for though nothing happens')
      const { items } = await bell().call('GET', `/api/v1/runs?workflow=${long}&status=waiting`)
      const run = items.find((r) => r.test).id
      await page.getByRole('link', { name: 'Back to workflows' }).click()
      await page.getByRole('heading', { name: 'Workflows' }).waitFor()
      asked.length = 0
      await bell().call('POST', `/api/v1/runs/${run}/cancel`)
      await page.waitForTimeout(500)
      assert.deepEqual(asked.filter((u) => u.includes(run)), [], 'a page that is gone still follows the run')
    }),
  ]
}
