// Every screen and state, in both themes and at two widths: axe finds nothing, nothing is wider than the window, nothing
// is on the console, no call leaves the server; and at 320 px, which is a zoom of 400 %.
import { seedRuns } from '../bellhop.mjs'
import { axe, newPage, overflow } from '../browser.mjs'
import { screens } from '../screens.mjs'

export const together = 2

export async function before(world, { startBellhop }) {
  world.servers = { full: await startBellhop({ sink: world.sink }), empty: await startBellhop({ empty: true }) }
  await seedRuns(world.servers.full)
}

const looks = [
  ['light', 1440],
  ['dark', 1440],
  ['dark', 390],
  ['light', 390],
]

export function tests(world) {
  return screens.map((screen) => ({
    name: screen.name,
    run: async () => {
      const server = world.servers[screen.server]
      // A screen of an error makes the browser say so on the console.
      const page = await newPage(world.browser, server.url, { allow: screen.faults ? ['Failed to load resource', 'net::ERR'] : [] })
      const wrong = []
      const fits = async (where) => {
        const more = await overflow(page)
        if (more > 0) wrong.push(`${where}: wider than the window by ${more} px`)
      }
      try {
        page.server = server
        await screen.go(page)
        await page.evaluate(() => document.fonts.ready)
        // Rows out of sight are not drawn, and keep the colors that they were drawn with last.
        await page.evaluate(() => {
          const sheet = new CSSStyleSheet()
          sheet.replaceSync('* { content-visibility: visible !important }')
          document.adoptedStyleSheets.push(sheet)
        })
        for (const [theme, width] of looks) {
          await page.emulateMedia({ colorScheme: theme })
          await page.setViewportSize({ width, height: width < 700 ? 844 : 900 })
          await page.locator(`html[data-theme=${theme}]`).waitFor({ state: 'attached' })
          await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
          wrong.push(...(await axe(page)).map((finding) => `${theme} ${width}: ${finding}`))
          await fits(`${theme} ${width}`)
        }
        await page.setViewportSize({ width: 320, height: 700 })
        await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
        await fits('320')
        wrong.push(...page.faults)
        if (wrong.length) throw new Error(wrong.join('\n'))
      } finally {
        await page.context().close()
      }
    },
  }))
}
