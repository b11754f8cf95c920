// Connections: made with a key and by a sign-in in a window of its own, their states, what depends on them; and what a
// provider asks for by law.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import { mkdirSync, writeFileSync } from 'node:fs'
import { axe, overflow } from '../browser.mjs'
import { until } from '../../scripts/server.mjs'
import { scene } from '../scene.mjs'

/** A system that people sign in to: it sends them back at once, and says who they are while the token is good. */
async function startDesk() {
  const desk = { good: true, refuse: false }
  const server = createServer((req, res) => {
    const url = new URL(req.url, 'http://x')
    const json = (status, value) => {
      res.writeHead(status, { 'Content-Type': 'application/json' })
      res.end(JSON.stringify(value))
    }
    req.resume()
    req.on('end', () => {
      if (url.pathname === '/authorize') {
        const back = new URL(url.searchParams.get('redirect_uri'))
        if (desk.refuse) back.searchParams.set('error', 'access_denied')
        else back.searchParams.set('code', 'c-1')
        back.searchParams.set('state', url.searchParams.get('state'))
        res.writeHead(302, { Location: back.href })
        return res.end()
      }
      if (url.pathname === '/token') return json(200, { access_token: 'desk-token', token_type: 'bearer', expires_in: 3600, refresh_token: 'again' })
      if (url.pathname === '/me') return desk.good ? json(200, { name: 'Ada Lovelace' }) : json(403, { message: 'this account is closed' })
      json(404, {})
    })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  desk.url = `http://127.0.0.1:${server.address().port}`
  desk.close = () => new Promise((r) => (server.closeAllConnections(), server.close(r)))
  return desk
}

const manifest = (url) => `manifest: 1
id: desk
title: Front Desk
version: 1.0.0
connection:
  auth:
    - id: oauth
      type: oauth2
      title: Sign in with Front Desk
      help: Your app > Keys
      flow: authorization_code
      authorize_url: ${url}/authorize
      token_url: ${url}/token
      scopes: {default: [read]}
  test: {use: get_me, label: output.name}
hosts: [127.0.0.1]
defaults:
  base_url: ${url}
actions:
  get_me:
    title: Read who I am
    summary: The account behind a sign-in.
    safe: true
    request: {method: GET, path: /me}
    sample: {name: Ada Lovelace}
`

export async function before(world, { startBellhop }) {
  world.desk = await startDesk()
  const bell = await startBellhop({ sink: world.sink })
  world.servers = { full: bell, desk: { close: () => world.desk.close() } }
  mkdirSync(bell.dir + '/connectors')
  writeFileSync(bell.dir + '/connectors/desk.yaml', manifest(world.desk.url))
  await until(async () => (await bell.call('GET', '/api/v1/connectors/desk')).id, { what: 'the connector' })
}

export function tests(world) {
  const { bell, task } = scene(world)
  return [
    task('a sign-in in a window of its own, then its health, what uses it, and its end', async (page) => {
      await page.goto(page.base + '/connections')
      await page.getByRole('button', { name: 'Connect an app' }).click()
      await page.getByRole('textbox', { name: 'Find an app' }).or(page.getByRole('searchbox')).first().fill('Front Desk')
      await page.getByRole('button', { name: 'Front Desk' }).click()
      await page.getByRole('textbox', { name: /client.id/i }).fill('me')
      await page.getByLabel(/client.secret/i).fill('s3cret')
      const popup = page.waitForEvent('popup')
      await page.getByRole('dialog').getByRole('button', { name: /Sign in|Connect/ }).last().click()
      await (await popup).waitForEvent('close').catch(() => {})
      await page.getByText('Signed in as Ada Lovelace').waitFor()
      await page.getByRole('button', { name: 'Done' }).click()
      await page.getByRole('link', { name: 'front-desk' }).click()
      await page.getByRole('heading', { name: 'front-desk', level: 1 }).waitFor()
      await page.getByText('Working').first().waitFor()
      await bell().publish('desk-user', 'name: Who is there\ntriggers: [{schedule: {every: 24h}}]\nsteps:\n  - {use: desk.get_me, connection: front-desk}\n')
      await page.reload()
      await page.getByRole('link', { name: 'Who is there' }).waitFor()
      // It stops to work: said in words, with the button that helps.
      world.desk.good = false
      await page.getByRole('button', { name: 'Test' }).click()
      await page.getByText('this account is closed').first().waitFor()
      assert.deepEqual(await axe(page), [])
      await page.goto(page.base + '/connections')
      await page.getByText('this account is closed').waitFor()
      world.desk.good = true
      await page.goto(page.base + '/connections/front-desk')
      const again = page.waitForEvent('popup')
      await page.getByRole('button', { name: 'Sign in again' }).first().click()
      await again
      await page.getByText('Working').first().waitFor()
      // Who deletes it is told what stops.
      await page.getByRole('button', { name: 'Delete' }).click()
      await page.getByRole('dialog').getByText('Who is there').waitFor()
      await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
    }),
    task('a sign-in that is refused says so', async (page) => {
      world.desk.refuse = true
      try {
        await page.goto(page.base + '/connections?add=desk')
        await page.getByRole('textbox', { name: /client.id/i }).fill('me')
        await page.getByLabel(/client.secret/i).fill('s3cret')
        await until(async () => (await page.getByLabel('Name of the connection').inputValue()) !== 'front-desk', { what: 'a name that is free, once the connections are known' })
        await page.getByRole('dialog').getByRole('button', { name: /Sign in|Connect/ }).last().click()
        await page.getByRole('dialog').getByRole('alert').waitFor()
        assert.equal((await bell().call('GET', '/api/v1/connections')).items.filter((c) => c.connector === 'desk' && c.name !== 'front-desk').length, 0)
      } finally {
        world.desk.refuse = false
      }
    }),
    task('what Shopify asks for by law: shown, exported, done', async (page) => {
      await bell().call('POST', '/api/v1/connections', { name: 'my-shop', connector: 'shopify', auth: 'token', values: { shop: 'acme', token: 'shpat_canary', signing_secret: 'canary-secret' } })
      const ask = async (topic, body) => {
        const text = JSON.stringify(body)
        const sent = await fetch(`${bell().url}/hooks/_/my-shop/privacy`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json', 'X-Shopify-Topic': topic, 'X-Shopify-Webhook-Id': topic, 'X-Shopify-Hmac-Sha256': createHmac('sha256', 'canary-secret').update(text).digest('base64') },
          body: text,
        })
        assert.equal(sent.status, 200, await sent.text())
      }
      const customer = { shop_id: 1, shop_domain: 'acme.myshopify.com', customer: { id: 7, email: 'jon@example.com' } }
      await ask('customers/data_request', customer)
      await ask('customers/redact', customer)
      await ask('shop/redact', { shop_id: 1, shop_domain: 'acme.myshopify.com' })
      await until(async () => (await bell().call('GET', '/api/v1/tasks')).items.length >= 3, { what: 'three requests' })
      await page.goto(page.base + '/waiting')
      const laws = page.getByRole('region', { name: /law/i })
      await laws.getByRole('listitem').nth(2).waitFor()
      assert.equal(await laws.getByRole('listitem').count(), 3)
      assert.deepEqual(await axe(page), [])
      const download = page.waitForEvent('download')
      await laws.getByRole('link').first().click()
      await download
      await page.setViewportSize({ width: 390, height: 844 })
      assert.ok((await overflow(page)) <= 0)
      await page.screenshot({ path: new URL('../../screenshots/waiting-law-390.png', import.meta.url).pathname, fullPage: true })
      await page.setViewportSize({ width: 1440, height: 900 })
      await page.screenshot({ path: new URL('../../screenshots/waiting-law-1440.png', import.meta.url).pathname })
      await laws.getByRole('listitem').filter({ hasText: 'jon@example.com' }).first().getByRole('button').click()
      await laws.getByText('Done', { exact: true }).first().waitFor()
      await until(async () => (await bell().call('GET', '/api/v1/tasks')).items.some((x) => x.done), { what: 'what is done' })
    }),
  ]
}
