// What tests of one page at a time share: a workflow of their own, so that they do not meet, and a page that leaves no fault.
import assert from 'node:assert/strict'
import { until } from '../scripts/server.mjs'
import { newPage } from './browser.mjs'

export const event = { name: 'Ada Lovelace', email: 'ada@example.com', amount: 240 }

export function scene(world) {
  const bell = () => world.servers.full
  const hook = (path, body) => fetch(bell().url + '/hooks/' + path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
  const text = async (id) => (await bell().call('GET', `/api/v1/drafts/${id}`)).text
  return {
    bell,
    hook,
    text,
    /** Publishes a workflow and sends it an event. */
    workflow: async (id, source) => {
      await bell().publish(id, source)
      await hook(id, event)
    },
    lead: (id) => `# A comment that stays.\nname: Lead ${id}\ntriggers:\n  - webhook: {path: ${id}}\nsteps:\n  - filter: trigger.body.amount > 100   # big ones only\n  - id: tell\n    name: Send channel message\n    use: http.request\n    with:\n      method: POST\n      url: ${world.sink.url}/chat\n      json: {channel: "#sales", text: "New"}\n`,
    saved: (page) => page.getByText('Saved', { exact: true }).waitFor(),
    draftHas: async (id, wanted) => {
      const has = async () => (await text(id)).includes(wanted)
      await until(has, { what: wanted }).catch(() => {})
      assert.ok(await has(), `the draft of ${id} lacks ${wanted}:\n${await text(id)}`)
    },
    /** A test that has a page; `allow` names faults that belong to it. */
    task: (name, run, options = {}) => ({
      name,
      run: async () => {
        const page = await newPage(world.browser, bell().url, options)
        try {
          const note = await run(page)
          const faults = page.faults.filter((f) => !f.startsWith('console: Failed to load'))
          if (page.faults.length) throw new Error((faults.length ? faults : page.faults).join('\n'))
          return note
        } catch (e) {
          await page.screenshot({ path: new URL(`../screenshots/FAILED-${name.replace(/[^\w]+/g, '-').slice(0, 60)}.png`, import.meta.url).pathname }).catch(() => {})
          throw e
        } finally {
          await page.context().close()
        }
      },
    }),
  }
}
