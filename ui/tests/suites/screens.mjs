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

export function tests(world) {
  return screens.flatMap((screen) =>
    [
      ['light', 1440],
      ['dark', 1440],
      ['light', 390],
      ['dark', 390],
    ].map(([theme, width]) => ({
      name: `${screen.name} ${theme} ${width}`,
      run: async () => {
        const server = world.servers[screen.server]
        // A screen of an error makes the browser say so on the console.
        const page = await newPage(world.browser, server.url, { theme, width, height: width < 700 ? 844 : 900, allow: screen.faults ? ['Failed to load resource', 'net::ERR'] : [] })
        try {
          page.server = server
          await screen.go(page)
          const wrong = [...(await axe(page))]
          if ((await overflow(page)) > 0) wrong.push(`wider than the window by ${await overflow(page)} px`)
          if (width === 390 && theme === 'light') {
            await page.setViewportSize({ width: 320, height: 700 })
            await page.waitForTimeout(50)
            if ((await overflow(page)) > 0) wrong.push(`at 320 px wider than the window by ${await overflow(page)} px`)
          }
          wrong.push(...page.faults)
          if (wrong.length) throw new Error(wrong.join('\n'))
        } finally {
          await page.context().close()
        }
      },
    })),
  )
}
