// Takes a picture of every screen: name-theme-width.png in ui/screenshots. `npm run screenshots -- runs` takes some.
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { seedRuns, startBellhop, startSink } from './bellhop.mjs'
import { launch, newPage } from './browser.mjs'
import { screens } from './screens.mjs'

const out = fileURLToPath(new URL('../screenshots/', import.meta.url))
mkdirSync(out, { recursive: true })
const wanted = process.argv.slice(2)
const chosen = screens.filter((s) => wanted.length === 0 || wanted.some((w) => s.name.includes(w)))
const sink = await startSink()
const servers = { full: await startBellhop({ sink }), empty: await startBellhop({ empty: true }) }
const browser = await launch()
try {
  await seedRuns(servers.full)
  for (const screen of chosen) {
    for (const theme of (process.env.THEMES ?? 'light,dark').split(',')) {
      for (const width of (process.env.WIDTHS ?? '1440,390').split(',').map(Number)) {
        const page = await newPage(browser, servers[screen.server].url, { width, height: width < 700 ? 844 : 900, theme })
        try {
          page.server = servers[screen.server]
          await screen.go(page)
          await page.evaluate(() => document.fonts.ready)
          await page.screenshot({ path: `${out}${screen.name}-${theme}-${width}.png`, timeout: 60_000 })
        } catch (e) {
          console.error(`${screen.name} ${theme} ${width}: ${e.message}`)
          await page.screenshot({ path: `${out}${screen.name}-${theme}-${width}-FAILED.png`, timeout: 60_000 })
          process.exitCode = 1
        }
        await page.context().close()
      }
    }
  }
} finally {
  await browser.close()
  await servers.full.close()
  await servers.empty.close()
  await sink.close()
}
