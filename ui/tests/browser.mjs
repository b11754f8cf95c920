// Debian's Chromium through Playwright, with what every page of every test is watched for.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium } from 'playwright-core'
import { until } from '../scripts/server.mjs'

export const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: flags })

/** Opens a page that collects what must not happen: errors on the console, calls to other origins, broken policies. */
export async function newPage(browser, url, { width = 1440, height = 900, theme = 'light', language = 'en', allow = [] } = {}) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    reducedMotion: 'reduce',
    hasTouch: width < 700,
    permissions: ['clipboard-read', 'clipboard-write'],
  })
  await context.addInitScript(([lang]) => localStorage.setItem('bellhop.language', lang), [language])
  const page = await context.newPage()
  page.faults = []
  const fine = (text) => allow.some((a) => text.includes(a))
  page.on('response', async (r) => {
    if (r.status() >= 400 && allow.length === 0) page.faults.push(`${r.status()} ${r.request().method()} ${r.url().slice(url.length)} ${(r.request().postData() ?? '').slice(0, 200)} ${(await r.text().catch(() => '')).slice(0, 300)}`)
  })
  page.on('console', (m) => {
    if ((m.type() === 'error' || m.type() === 'warning') && !fine(m.text())) page.faults.push(`console: ${m.text()}`)
  })
  page.on('pageerror', (e) => page.faults.push(`error: ${e.stack ?? e.message}`))
  page.on('request', (r) => {
    if (!r.url().startsWith(url) && !r.url().startsWith('data:') && !r.url().startsWith('blob:')) page.faults.push(`request to another origin: ${r.url()}`)
  })
  // What is under way; the stream of events never ends.
  page.asked = new Set()
  page.on('request', (r) => !r.url().includes('/api/v1/events') && page.asked.add(r))
  for (const end of ['requestfinished', 'requestfailed']) page.on(end, (r) => page.asked.delete(r))
  page.base = url
  page.setDefaultTimeout(20_000) // a wait ends when it sees what it waits for; a busy machine makes a browser late
  return page
}

/** Waits until everything that the page asked for is there and drawn: nothing is under way, and for some frames nothing
 *  in the page changes. What an edit asks for a moment later is begun in that time, so wait for what it says as well. */
export async function still(page) {
  await until(
    async () => {
      if (page.asked.size) return false
      const changed = await page.evaluate(async () => {
        let changes = 0
        const watch = new MutationObserver((list) => (changes += list.length))
        watch.observe(document, { subtree: true, childList: true, attributes: true, characterData: true })
        for (let i = 0; i < 20; i++) await new Promise((done) => requestAnimationFrame(done))
        watch.disconnect()
        return changes
      })
      return changed === 0 && page.asked.size === 0
    },
    { what: 'a page that is still' },
  )
}

/** What axe finds, as one line for each. Trusted Types forbid a script element, so its source is evaluated. */
export async function axe(page) {
  await page.evaluate(axeSource)
  return page.evaluate(async () => {
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
    const found = await globalThis.axe.run(document, { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] })
    return found.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} (${(n.any[0] ?? n.all[0] ?? n.none[0])?.message ?? ''})`).join('; ')}`)
  })
}

export const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
