// The editor: what it sends and when, what happens to a draft that somebody else changes, and its newcomer tasks by
// pointer and by keyboard.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { axe, still } from '../browser.mjs'
import { keyboard, pointer } from '../hands.mjs'
import { event, scene } from '../scene.mjs'
import { until } from '../../scripts/server.mjs'

export async function before(world, { startBellhop }) {
  world.servers = { full: await startBellhop({ sink: world.sink }) }
}

let made = 0

export function tests(world) {
  const { bell, hook, workflow, lead, task, draftHas } = scene(world)
  const id = (name) => `${name}-${++made}` // a second try begins anew
  const both = (name, run) => [pointer, keyboard].map((way) => task(`${name} by ${way.name}`, (page) => run(page, way(page))))
  const chats = () => world.sink.calls.filter((c) => c.path === '/chat').length
  const slack = async () => {
    const { items } = await bell().call('GET', '/api/v1/connections')
    if (!items.some((c) => c.name === 'sales-slack')) await bell().call('POST', '/api/v1/connections', { name: 'sales-slack', connector: 'slack', auth: 'webhook', values: { url: `${world.sink.url}/mail` } })
  }
  /** A workflow that has had its event and is quiet again. */
  const quiet = async (name, source) => {
    const before = chats()
    await workflow(name, source)
    await until(() => chats() > before, { what: 'the event to be handled' })
    await bell().settle()
  }

  return [
    ...both('T9 what would have happened', async (page, hands) => {
      const past = id('past')
      await workflow(past, lead(past))
      for (const amount of [40, 150, 180, 500]) await hook(past, { ...event, amount })
      await bell().settle()
      await page.goto(`${page.base}/workflows/${past}?step=filter_1`)
      await hands.fill(page.getByRole('textbox', { name: 'Value' }), '200')
      await hands.press(page.getByRole('button', { name: 'Try past events' }))
      const before = chats()
      await hands.press(page.getByRole('button', { name: 'Last 50 events' }))
      const total = page.getByText(/\d+ the same, \d+ now stopped/)
      await total.waitFor()
      assert.equal(await total.textContent(), '3 the same, 2 now stopped')
      assert.equal(chats(), before, 'a trial sent something')
      assert.ok(hands.clicks <= 4, `${hands.clicks} clicks`)
      await page.keyboard.press('Escape')
      await hands.press(page.getByRole('button', { name: 'Review and publish' }))
      await page.getByText('Of the last 5 events: 3 the same, 2 now stopped').waitFor()
    }),
    ...both('T12 split into paths', async (page, hands) => {
      const split = id('split')
      await slack()
      await workflow(split, `triggers:\n  - webhook: {path: ${split}}\nsteps:\n  - set: {ok: true}\n`)
      await hook(split, { ...event, kind: 'refund' })
      await bell().settle()
      await page.goto(`${page.base}/workflows/${split}`)
      await hands.press(page.getByRole('button', { name: 'Add a step after Prepare data' }))
      await hands.pick('Split into paths')
      await hands.select(page.getByRole('combobox', { name: 'Field', exact: true }), 'Kind')
      await hands.select(page.getByRole('combobox', { name: 'Test', exact: true }), 'is')
      await hands.fill(page.getByRole('textbox', { name: 'Value' }), 'refund')
      const a = page.getByRole('listitem', { name: /^Path A/ })
      await hands.press(a.getByRole('button', { name: 'Add the first step' }))
      await hands.pick('Slack Send a message')
      await hands.fill(page.getByRole('textbox', { name: 'Channel' }), '#sales')
      await hands.fill(page.getByRole('textbox', { name: 'Message' }), 'A refund')
      await draftHas(split, 'A refund')
      await hands.press(page.getByRole('button', { name: 'Test all steps' }))
      await a.getByText('Done').first().waitFor()
      await page.getByRole('listitem', { name: /^Path B/ }).getByText('Not taken').waitFor()
      await page.getByRole('tab', { name: 'Map' }).waitFor()
      assert.ok(hands.clicks <= 7, `${hands.clicks} clicks`)
    }),
    ...both('history: what a version changed, and back to it', async (page, hands) => {
      const old = id('old')
      await workflow(old, lead(old))
      await workflow(old, lead(old).replace('> 100', '> 200'))
      await page.goto(`${page.base}/workflows/${old}`)
      await hands.press(page.getByRole('tab', { name: 'History' }))
      await page.getByText('now continues when Amount is greater than 200 (was 100)').waitFor()
      await hands.press(page.getByRole('button', { name: 'What it changed, in lines' }).first())
      await page.getByRole('region', { name: 'Changed lines' }).getByText('filter: trigger.body.amount > 200').waitFor()
      await hands.press(page.getByRole('button', { name: /^Restore/ }))
      await page.getByText('That version is your draft now.').waitFor()
      await draftHas(old, 'amount > 100   # big ones only')
      assert.ok(readFileSync(`${bell().dir}/workflows/${old}.yaml`, 'utf8').includes('> 200'), 'a restore published by itself')
      await page.getByText('Draft, 1 change').waitFor()
    }),
    ...both('a poll is asked once: its answer says where the items are, and a list of them is gone through', async (page, hands) => {
      const name = id('fetch')
      world.sink.feeds[name] = { items: [{ nr: 'A', lines: [{ sku: 'L-1' }] }, { nr: 'B', lines: [] }] }
      await bell().publish(name, `triggers:\n  - poll: {every: 24h, use: http.request, with: {url: "${world.sink.url}/feed/${name}"}, items: output.body, key: item.nr}\nsteps:\n  - for_each: {in: trigger.item.old}\n    steps:\n      - wait: {for: 1h}\n`)
      const draft = (await bell().call('GET', `/api/v1/drafts/${name}`)).rev
      await bell().call('PATCH', `/api/v1/drafts/${name}`, { ops: [{ op: 'delete', path: 'triggers[0].poll.items' }, { op: 'set', path: 'triggers[0].poll.key', value: 'item.id' }, { op: 'set', path: 'steps[0].for_each.in', value: null }] }, { 'If-Match': draft })
      await page.goto(`${page.base}/workflows/${name}`)
      await hands.press(page.locator('.fetch').getByRole('button', { name: 'Fetch now' }))
      await page.getByText('The answer came. Where in it are the items?').waitFor()
      await hands.press(page.getByRole('button', { name: 'The answer itself (2)' }))
      await page.getByText('2 items came, and they cannot be told apart by that').waitFor()
      await hands.press(page.locator('.fetch').getByRole('button', { name: 'Nr' }))
      await page.getByText('2 items came. Each can be told from the others.').waitFor()
      await draftHas(name, 'key: item.nr')
      // The fields are there for the steps, and a list that is put into a field for an expression is one.
      await hands.press(page.getByRole('button', { name: /Step 1 Repeat for each/ }))
      await hands.fill(page.getByRole('textbox', { name: 'List' }), ' ')
      await page.getByRole('region', { name: 'Data you can use' }).getByRole('button', { name: 'Lines', exact: true }).click()
      await until(async () => /in: "?trigger\.item\.lines/.test((await bell().call('GET', `/api/v1/drafts/${name}`)).text), { what: 'the list in the draft' })
      // Waiting for somebody outside is one of three ways to wait.
      await hands.press(page.getByRole('button', { name: /Step 2 Wait/ }))
      await hands.select(page.getByRole('combobox', { name: 'Wait' }), 'for an answer from outside')
      await draftHas(name, 'id: wait_2') // so that its address can be asked for
      await page.getByRole('textbox', { name: 'At the longest' }).waitFor()
      assert.deepEqual(await axe(page), [])
    }),
    task('a step that others use is deleted by keyboard: the focus stays in the list, and what lacks it says so', async (page) => {
      const name = id('gone')
      await bell().publish(name, `triggers:\n  - webhook: {path: ${name}}\nsteps:\n  - id: prep\n    set: {who: "\${{ trigger.body.name }}"}\n  - id: ask\n    approve: {message: "For \${{ steps.prep.who }} or \${{ steps.prep.who }}?"}\n`)
      await page.goto(`${page.base}/workflows/${name}?step=steps.prep`)
      await page.locator('[data-path="steps.prep"]').focus()
      await page.keyboard.press('Delete')
      await page.locator('[data-path="steps.ask"]:focus').waitFor()
      await page.keyboard.press('Enter')
      await page.getByRole('alert').filter({ hasText: 'It uses data of the step “prep”, which is not there any more.' }).waitFor()
      await page.getByText('For Who or Who?').waitFor() // on the card, without the marks of the file
      await page.locator('[data-path="steps.ask"]').focus()
      await page.keyboard.press('ControlOrMeta+z')
      await page.locator('[data-path="steps.prep"]').waitFor()
    }),
    task('the map: a picture of the list, where a click opens a step', async (page) => {
      const map = id('map')
      await workflow(map, `triggers:\n  - webhook: {path: ${map}}\nsteps:\n  - id: way\n    paths:\n      - {name: Refund, when: trigger.body.kind == "refund", steps: [{name: Pay it back, set: {a: 1}}]}\n      - {name: Rest, steps: []}\n  - name: The end\n    set: {b: 2}\n`)
      await page.goto(`${page.base}/workflows/${map}`)
      await page.getByRole('tab', { name: 'Map' }).click()
      await page.getByRole('img', { name: 'Starts with Webhook. Then: Split into paths (Refund: if Kind is refund: Pay it back), The end.' }).waitFor()
      await page.getByText('Pay it back').click()
      await page.getByRole('heading', { name: 'Pay it back' }).waitFor()
      assert.equal(new URL(page.url()).searchParams.get('step'), 'steps.way.paths[0].steps[0]')
      await page.goBack()
      await page.getByRole('button', { name: 'Read as a list' }).click()
      await page.locator('[data-path="steps.way"]').waitFor()
      assert.deepEqual(await axe(page), [])
    }),
    task('a run with the current draft', async (page) => {
      const one = id('again')
      await workflow(one, lead(one))
      await bell().settle()
      const { items } = await bell().call('GET', `/api/v1/runs?workflow=${one}`)
      await bell().call('PUT', `/api/v1/drafts/${one}/text`, { text: lead(one).replace('text: "New"', 'text: "New lead"') }, { 'If-Match': '*' })
      await page.goto(`${page.base}/runs/${items[0].id}`)
      await page.getByRole('link', { name: 'Try with the current draft' }).click()
      await page.getByText('0 the same, 1 different').waitFor()
      await page.getByRole('button', { name: /“Send channel message” gets something else/ }).click()
      await page.getByRole('region', { name: 'With this draft' }).getByText('New lead', { exact: true }).waitFor()
    }),
    task('two tabs: an edit in one shows in the other', async (page) => {
      const two = id('two')
      await workflow(two, lead(two))
      const other = await page.context().newPage()
      await page.goto(`${page.base}/workflows/${two}?step=filter_1`)
      await other.goto(`${page.base}/workflows/${two}?step=filter_1`)
      await other.getByRole('textbox', { name: 'Value' }).waitFor()
      await page.getByRole('textbox', { name: 'Value' }).fill('200')
      await draftHas(two, 'amount > 200')
      await other.waitForFunction(() => document.querySelector('input[aria-label="Value"]')?.value === '200')
      await other.getByText('Draft, 1 change').waitFor()
    }),
    task(
      'two tabs: an edit made on an older text is refused, and said',
      async (page) => {
        const two = id('stale')
        await workflow(two, lead(two))
        const deaf = await page.context().newPage()
        await deaf.route('**/api/v1/events*', (r) => r.abort()) // it is not told what happens elsewhere
        await deaf.goto(`${page.base}/workflows/${two}?step=filter_1`)
        await deaf.getByRole('textbox', { name: 'Value' }).waitFor()
        await page.goto(`${page.base}/workflows/${two}?step=filter_1`)
        await page.getByRole('textbox', { name: 'Value' }).fill('200')
        await draftHas(two, 'amount > 200')
        await deaf.getByRole('textbox', { name: 'Value' }).fill('300')
        await deaf.getByText('Somebody else changed this draft.').waitFor()
        assert.ok((await bell().call('GET', `/api/v1/drafts/${two}`)).text.includes('amount > 200'), 'an edit was overwritten')
        await deaf.waitForFunction(() => document.querySelector('input[aria-label="Value"]')?.value === '200')
      },
      { allow: ['Failed to load resource', 'net::ERR'] },
    ),
    task('a file changed on disk under a draft is seen and never overwritten', async (page) => {
      const disk = id('disk')
      await workflow(disk, lead(disk))
      const file = `${bell().dir}/workflows/${disk}.yaml`
      await page.goto(`${page.base}/workflows/${disk}?step=filter_1`)
      await page.getByRole('textbox', { name: 'Value' }).fill('200')
      await draftHas(disk, 'amount > 200')
      const theirs = lead(disk).replace('name: Lead', 'name: Their lead')
      writeFileSync(file, theirs)
      await page.getByText('The file changed on disk while this draft was open').waitFor()
      assert.deepEqual(await axe(page), [])
      assert.ok((await bell().call('GET', `/api/v1/drafts/${disk}`)).text.includes('amount > 200'), 'the draft was overwritten')
      // Publishing now would lose what the file says: it is refused until somebody decides.
      const before = await bell().call('GET', `/api/v1/drafts/${disk}`)
      await assert.rejects(bell().call('POST', `/api/v1/drafts/${disk}/publish`, {}, { 'If-Match': `"${before.rev}"` }), /409|412/)
      assert.equal(readFileSync(file, 'utf8'), theirs)
      await page.getByRole('button', { name: 'Keep mine' }).click()
      await page.getByText('The file changed on disk while this draft was open').waitFor({ state: 'hidden' })
      await page.getByRole('button', { name: 'Review and publish' }).click()
      await page.getByText('now continues when Amount is greater than 200 (was 100)').waitFor() // and that the name goes back
      assert.equal(readFileSync(file, 'utf8'), theirs)
    }),
    ...both('a file changed on disk: the difference in words and lines, then theirs', async (page, hands) => {
      const disk = id('differs')
      await workflow(disk, lead(disk))
      await page.goto(`${page.base}/workflows/${disk}?step=filter_1`)
      await hands.fill(page.getByRole('textbox', { name: 'Value' }), '200')
      await draftHas(disk, 'amount > 200')
      const theirs = lead(disk).replace('"New"', '"A new lead"')
      writeFileSync(`${bell().dir}/workflows/${disk}.yaml`, theirs)
      await hands.press(page.getByRole('button', { name: 'See the difference' }))
      const dialog = page.getByRole('dialog')
      await dialog.getByRole('listitem').filter({ hasText: 'A new lead' }).waitFor() // what the file changed, in words
      await dialog.getByText('now continues when Amount is greater than 200 (was 100)').waitFor()
      const lines = dialog.getByRole('region', { name: 'Changed lines' })
      await lines.getByText(/A new lead/).waitFor()
      await lines.getByText(/amount > 200/).waitFor()
      assert.deepEqual(await axe(page), [])
      await hands.press(dialog.getByRole('button', { name: 'Use the file' }))
      await dialog.waitFor({ state: 'hidden' })
      await draftHas(disk, 'A new lead')
      await page.getByText('Published', { exact: true }).waitFor()
      await hands.press(page.getByRole('button', { name: /^Undo/ })) // what was mine is an undo away
      await draftHas(disk, 'amount > 200')
    }),
    ...both('a text typed while somebody else changed the draft is not lost: the difference, then mine', async (page, hands) => {
      const two = id('overtaken')
      await workflow(two, lead(two))
      await page.route('**/api/v1/events*', (r) => r.fulfill({ status: 200, contentType: 'text/event-stream', body: '' })) // not told what happens elsewhere
      await page.goto(`${page.base}/workflows/${two}?view=yaml`)
      await page.locator('.cm-content').click()
      await page.keyboard.press('ControlOrMeta+Home')
      await bell().call('PUT', `/api/v1/drafts/${two}/text`, { text: lead(two).replace('> 100', '> 700') }, { 'If-Match': '*' })
      page.faults.length = 0
      await page.keyboard.type('# Mine\n')
      await page.getByText('Somebody else changed this draft while you typed').waitFor()
      page.faults.length = 0 // the server refused the text that was made on an older one
      assert.ok((await page.locator('.cm-content').textContent()).includes('# Mine'), 'what was typed is gone')
      assert.ok(!(await bell().call('GET', `/api/v1/drafts/${two}`)).text.includes('# Mine'), 'theirs was overwritten')
      await page.keyboard.press('Escape') // after it, Tab leaves the text
      await hands.press(page.getByRole('button', { name: 'See the difference' }))
      const dialog = page.getByRole('dialog')
      await dialog.getByText('now continues when Amount is greater than 100 (was 700)').waitFor()
      await dialog.getByRole('region', { name: 'Changed lines' }).getByText('# Mine').waitFor()
      await hands.press(dialog.getByRole('button', { name: 'Keep mine' }))
      await draftHas(two, '# Mine')
      await draftHas(two, '> 100')
      await page.getByText('Somebody else changed this draft while you typed').waitFor({ state: 'hidden' })
    }),
    ...both('a first publish: a connection that does not work is said, and who is to hear of failures is asked', async (page, hands) => {
      const sick = id('sick')
      const name = `mute-${sick}`
      await bell().call('POST', '/api/v1/connections', { name, connector: 'slack', auth: 'webhook', values: { url: `${world.sink.url}/nothing-here` } })
      await bell().call('POST', `/api/v1/connections/${name}/test`).catch(() => {})
      await bell().call('POST', '/api/v1/drafts', { id: sick, text: `triggers:\n  - webhook: {path: ${sick}}\nsteps:\n  - use: slack.post_message\n    connection: ${name}\n    with: {channel: "#sales", text: Hello}\n` })
      const { state } = await bell().call('GET', `/api/v1/connections/${name}`)
      await page.goto(`${page.base}/workflows/${sick}`)
      await hands.press(page.getByRole('button', { name: 'Review and publish' }))
      await page.getByText(state === 'failing' ? new RegExp(`The connection ${name}`) : /connection that the steps use/).waitFor()
      await hands.press(page.getByRole('button', { name: 'Publish and turn on' }))
      await page.getByText('Nobody is told yet when a workflow begins to fail.').waitFor()
      assert.deepEqual(await axe(page), [])
      await hands.press(page.getByRole('link', { name: 'Tell me when it fails' }))
      await page.waitForURL('**/settings')
      // Who says "not now" is not asked again.
      for (const asked of [true, false]) {
        const one = id('first')
        await bell().call('POST', '/api/v1/drafts', { id: one, text: `triggers:\n  - webhook: {path: ${one}}\nsteps:\n  - set: {a: 1}\n` })
        await page.goto(`${page.base}/workflows/${one}`)
        await hands.press(page.getByRole('button', { name: 'Review and publish' }))
        await hands.press(page.getByRole('button', { name: 'Publish and turn on' }))
        await page.getByText('Live.').waitFor()
        await still(page)
        const card = page.getByText('Nobody is told yet when a workflow begins to fail.')
        assert.equal(await card.count(), asked ? 1 : 0)
        if (asked) {
          await hands.press(page.getByRole('button', { name: 'Not now' }))
          await card.waitFor({ state: 'hidden' })
        }
      }
    }),
    task(
      'a restart of the server while somebody edits loses nothing',
      async (page) => {
        const away = id('away')
        await workflow(away, lead(away))
        await page.goto(`${page.base}/workflows/${away}?step=filter_1`)
        await page.getByRole('textbox', { name: 'Value' }).waitFor()
        await bell().stop()
        await page.getByRole('textbox', { name: 'Value' }).fill('300')
        await page.getByText('Not saved: no connection').waitFor()
        await bell().start()
        await page.getByText('Saved', { exact: true }).waitFor({ timeout: 15000 })
        await draftHas(away, 'amount > 300')
      },
      { allow: ['Failed to load resource', 'net::ERR'] },
    ),
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
      await page.clock.install()
      await page.goto(`${page.base}/workflows/${long}`)
      await page.getByRole('button', { name: 'Test all steps' }).click()
      await page.getByRole('button', { name: 'Stop' }).waitFor()
      await still(page)
      /** Every timer of the next seconds fires now, and what it asks for is asked before this ends. */
      const later = async () => {
        await page.clock.fastForward(8000)
        await page.evaluate(async () => (await fetch('/healthz')).text())
      }
      const asked = []
      page.on('request', (r) => /\/api\/v1\/(runs\/|events)/.test(r.url()) && asked.push(r.url()))
      await later()
      assert.deepEqual(asked, [], 'it is asked for though nothing happens')
      const { items } = await bell().call('GET', `/api/v1/runs?workflow=${long}&status=waiting`)
      const run = items.find((r) => r.test).id
      await page.getByRole('link', { name: 'Back to workflows' }).click()
      await page.getByRole('heading', { name: 'Workflows' }).waitFor()
      asked.length = 0
      await bell().call('POST', `/api/v1/runs/${run}/cancel`)
      await until(async () => (await bell().call('GET', `/api/v1/runs/${run}`)).status === 'canceled', { what: 'the end of the run' })
      await later()
      assert.deepEqual(asked.filter((u) => u.includes(run)), [], 'a page that is gone still follows the run')
    }),
  ]
}
