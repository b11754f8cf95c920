// The first minutes of somebody who has just started Bellhop: from the welcome to a workflow that is live.
import assert from 'node:assert/strict'
import { newPage } from '../browser.mjs'
import { keyboard, pointer } from '../hands.mjs'

export function tests(world, { startBellhop }) {
  /** An empty server for each: a first run happens once. */
  const first = (name, hands, run) => ({
    name: `${name} by ${hands.name}`,
    run: async () => {
      const bell = await startBellhop({ empty: true })
      const page = await newPage(world.browser, bell.url)
      try {
        const note = await run(page, hands(page), bell)
        if (page.faults.length) throw new Error(page.faults.join('\n'))
        return note
      } catch (e) {
        await page.screenshot({ path: new URL(`../../screenshots/FAILED-first-${hands.name}.png`, import.meta.url).pathname }).catch(() => {})
        throw e
      } finally {
        await page.context().close()
        await bell.close()
      }
    },
  })

  async function webhookToSlack(page, hands, bell) {
    await hands.press(page.getByRole('button', { name: 'When an app sends data, post it to Slack' }))
    await hands.press(page.getByRole('button', { name: 'Send a sample for me' }))
    await page.getByRole('status').filter({ hasText: /Event received, \d+ fields/ }).waitFor()
    await hands.press(page.getByRole('button', { name: 'Connect Slack' }))
    await hands.fill(page.getByRole('textbox', { name: 'Slack webhook address' }), world.sink.url + '/services/T1/B1/x')
    await hands.press(page.getByRole('button', { name: 'Connect', exact: true }))
    await page.getByText('Working').first().waitFor()
    await page.getByText('Saved', { exact: true }).waitFor()
    await hands.press(page.getByRole('button', { name: 'Test this step' }))
    await hands.press(page.getByRole('button', { name: 'Send a real message' }))
    await page.getByText(/Posted/).first().waitFor()
    await hands.press(page.getByRole('button', { name: 'Review and publish' }))
    await hands.press(page.getByRole('button', { name: 'Publish and turn on' }))
    await page.getByText('Live').first().waitFor()
    const [w] = (await bell.call('GET', '/api/v1/workflows')).items
    assert.equal(w.enabled, true, w.reason)
    const before = world.sink.calls.length
    await bell.call('POST', '/hooks/new-event', { name: 'Grace', message: 'Hello' })
    await bell.settle()
    assert.match(world.sink.calls.slice(before).map((c) => c.body).join(), /New event from Grace: Hello/)
  }

  return [pointer, keyboard].flatMap((way) => [
    first('from the welcome to live in 8 clicks', way, async (page, hands, bell) => {
      await page.goto(page.base + '/')
      await page.getByRole('heading', { name: 'What should happen first?' }).waitFor()
      const from = Date.now()
      await webhookToSlack(page, hands, bell)
      assert.ok(hands.clicks <= 8, `${hands.clicks} clicks`)
      return `${hands.clicks} clicks, ${Date.now() - from} ms`
    }),
    first('T1 webhook to Slack from a template', way, async (page, hands, bell) => {
      await page.goto(page.base + '/workflows')
      await hands.press(page.getByRole('navigation').getByRole('link', { name: 'Workflows' }))
      await hands.press(page.getByRole('link', { name: 'New workflow' }))
      await webhookToSlack(page, hands, bell)
      assert.ok(hands.clicks <= 10, `${hands.clicks} clicks`)
      return `${hands.clicks} clicks`
    }),
  ])
}
