// What a newcomer does, by the names that a person reads or hears. Each task opens its own page and leaves no fault.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { seedRuns } from '../bellhop.mjs'
import { until } from '../../scripts/server.mjs'
import { scene } from '../scene.mjs'

export async function before(world, { startBellhop }) {
  world.servers = { full: await startBellhop({ sink: world.sink }) }
  await seedRuns(world.servers.full, { many: 9 })
}

export function tests(world) {
  const { bell, workflow, lead, text, saved, task, draftHas } = scene(world)

  return [
    task('T2 catch my own event', async (page) => {
      await workflow('t2', lead('t2'))
      await page.goto(page.base + '/workflows/t2')
      await page.getByRole('listitem').getByRole('button', { name: /Webhook/ }).click()
      const address = await page.getByRole('textbox', { name: 'Your address' }).inputValue()
      assert.ok(address.endsWith('/hooks/t2'), address)
      const from = Date.now()
      await fetch(address, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name: 'Grace', amount: 7, city: 'Arlington' }) })
      await page.getByText('Event received, 3 fields').waitFor()
      const took = Date.now() - from
      await page.getByRole('region', { name: 'Data you can use' }).getByRole('button', { name: 'Amount' }).waitFor()
      return `event shown after ${took} ms`
    }),
    task('T3 add a filter', async (page) => {
      await workflow('t3', `triggers:\n  - webhook: {path: t3}\nsteps:\n  - set: {ok: true}\n`)
      await page.goto(page.base + '/workflows/t3')
      await page.getByRole('button', { name: 'Add a step after Webhook' }).click()
      await page.getByRole('option', { name: 'Only continue if' }).click()
      await page.getByRole('combobox', { name: 'Field', exact: true }).selectOption({ label: 'Amount' })
      await page.getByRole('combobox', { name: 'Test' }).selectOption({ label: 'is greater than' })
      await page.getByRole('textbox', { name: 'Value' }).fill('100')
      await page.getByRole('status').filter({ hasText: 'This event passes. The run would continue.' }).waitFor()
      await draftHas('t3', 'filter: trigger.body.amount > 100')
    }),
    task('T4 two conditions, either one', async (page) => {
      await workflow('t4', lead('t4'))
      await page.goto(page.base + '/workflows/t4?step=filter_1')
      await page.getByRole('button', { name: 'Add condition' }).click()
      const second = page.getByRole('group', { name: 'Condition 2' })
      await second.getByRole('combobox', { name: 'Field' }).selectOption({ label: 'Name' })
      await second.getByRole('combobox', { name: 'Test' }).selectOption({ label: 'contains' })
      await second.getByRole('textbox', { name: 'Value' }).fill('Ada')
      await page.getByRole('combobox', { name: 'Match' }).selectOption('any')
      await draftHas('t4', 'filter: trigger.body.amount > 100 or')
      await draftHas('t4', '# big ones only')
    }),
    task('T5 put a value into the message', async (page) => {
      await workflow('t5', lead('t5'))
      await page.goto(page.base + '/workflows/t5?step=steps.tell')
      await page.getByRole('textbox', { name: 'text' }).click()
      await page.locator('.cm-content[aria-label=text]').waitFor()
      await page.keyboard.press('ControlOrMeta+a')
      await page.keyboard.type('Hi ')
      await page.getByRole('region', { name: 'Data you can use' }).getByRole('button', { name: 'Name', exact: true }).click()
      await page.getByText('Hi Ada Lovelace').first().waitFor()
      await draftHas('t5', 'Hi ${{ trigger.body.name }}')
    }),
    task('T5k the same by keyboard', async (page) => {
      const id = `t5k-${Date.now()}` // a second try begins anew
      await workflow(id, lead(id))
      await page.goto(`${page.base}/workflows/${id}?step=steps.tell`)
      await page.getByRole('textbox', { name: 'text' }).focus()
      await page.locator('.cm-content[aria-label=text]:focus').waitFor()
      await page.keyboard.press('ControlOrMeta+a')
      await page.keyboard.type('Hi /na')
      await page.locator('.cm-tooltip-autocomplete').waitFor()
      // The editor ignores an Enter in the list's first 75 ms, so that nobody picks by accident.
      await until(async () => {
        await page.keyboard.press('Enter')
        return !(await page.locator('.cm-tooltip-autocomplete').isVisible())
      }, { what: 'the choice' })
      await page.getByText('Hi Ada Lovelace').first().waitFor()
      await draftHas(id, 'Hi ${{ trigger.body.name }}')
    }),
    task('T6 map fields', async (page) => {
      await workflow('t6', lead('t6'))
      await page.goto(page.base + '/workflows/t6')
      await page.getByRole('button', { name: 'Add a step after Only continue if' }).click()
      await page.getByRole('option', { name: 'Prepare data' }).click()
      await page.getByRole('button', { name: 'Add field' }).click()
      await page.getByRole('textbox', { name: 'Field name' }).fill('total')
      await page.getByRole('textbox', { name: 'Value' }).click()
      await page.locator('.cm-content').waitFor()
      await page.getByRole('region', { name: 'Data you can use' }).getByRole('button', { name: 'Amount' }).click()
      await page.getByRole('cell', { name: '240', exact: true }).waitFor()
      await draftHas('t6', 'total: ${{ trigger.body.amount }}')
    }),
    task('T7 and T8 find a failed run and run it again', async (page) => {
      await page.goto(page.base + '/workflows')
      await page.getByRole('link', { name: 'Runs' }).click()
      await page.getByRole('combobox', { name: 'Status' }).selectOption('failed')
      await page.getByRole('link', { name: 'Invoice to ledger' }).first().click()
      await page.getByRole('alert').filter({ hasText: 'answered 404' }).waitFor()
      await page.getByRole('button', { name: 'Run again', exact: true }).click()
      await page.getByRole('menuitem', { name: /From step 3 with the same data/ }).click()
      await page.getByText('repeats an earlier run').waitFor()
    }),
    task('T10 see and undo a change', async (page) => {
      await workflow('t10', lead('t10'))
      await page.goto(page.base + '/workflows/t10?step=filter_1')
      await page.getByRole('textbox', { name: 'Value' }).fill('200')
      await draftHas('t10', 'amount > 200')
      await page.getByRole('button', { name: 'Review and publish' }).click()
      await page.getByText(/200.*100/).first().waitFor()
      await page.getByRole('button', { name: 'Publish', exact: true }).click()
      await page.getByText('Live.').waitFor()
      assert.ok(readFileSync(bell().dir + '/workflows/t10.yaml', 'utf8').includes('amount > 200   # big ones only'))
      await page.getByRole('status').getByRole('button', { name: 'Undo' }).click()
      await page.getByText(/Restored/).waitFor()
      assert.equal(readFileSync(bell().dir + '/workflows/t10.yaml', 'utf8'), lead('t10'))
    }),
    task('T11 edit YAML, keep comments', async (page) => {
      await workflow('t11', lead('t11'))
      await page.goto(page.base + '/workflows/t11')
      await page.getByRole('tab', { name: 'YAML' }).click()
      await page.locator('.cm-content').click()
      await page.keyboard.press('ControlOrMeta+Home')
      await page.keyboard.type('# My own comment\n')
      await draftHas('t11', '# My own comment\n# A comment that stays.')
      await page.getByRole('tab', { name: 'Steps' }).click()
      await page.getByRole('button', { name: /Send channel message/ }).first().click()
      await page.getByRole('textbox', { name: 'channel' }).click()
      await page.locator('.cm-content[aria-label=channel]').waitFor()
      await page.keyboard.press('ControlOrMeta+a')
      await page.keyboard.type('#deals')
      await draftHas('t11', '#deals')
      await saved(page)
      const now = (await text('t11')).split('\n')
      const before = lead('t11').split('\n')
      assert.equal(now.length, before.length + 1)
      assert.equal(before.filter((line) => !now.includes(line)).length, 1)
    }),
  ]
}
