// The browser tests: `npm run browser` runs all of them, `npm run browser -- screens tasks` some. Each file in
// tests/suites exports a list of named tests; a test gets what it needs and throws when something is wrong.
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { startBellhop, startSink } from './bellhop.mjs'
import { launch } from './browser.mjs'

const patience = 4 * 60_000 // more than any test takes on a slow machine
const tooLate = () =>
  new Promise((_, no) => setTimeout(() => no(new Error(`it hangs: nothing came of it in ${patience / 60_000} minutes`)), patience).unref())

const folder = fileURLToPath(new URL('./suites/', import.meta.url))
const wanted = process.argv.slice(2)
const began = Date.now()
const browser = await launch()
let passed = 0
const failures = []
for (const file of readdirSync(folder).sort()) {
  const name = file.replace('.mjs', '')
  if (wanted.length && !wanted.some((w) => w.split(':')[0] === name)) continue
  const only = wanted.filter((w) => w.startsWith(name + ':')).map((w) => w.slice(name.length + 1))
  const suite = await import(folder + file)
  const world = { browser, servers: {} }
  world.sink = await startSink()
  try {
    await suite.before?.(world, { startBellhop })
    const queue = suite.tests(world, { startBellhop }).filter((test) => only.length === 0 || only.some((o) => test.name.includes(o)))
    const worker = async () => {
      for (let test; (test = queue.shift()); ) {
        const from = Date.now()
        try {
          const note = await Promise.race([test.run(), tooLate()])
          passed++
          console.log(`ok    ${name}: ${test.name} (${Date.now() - from} ms)${note ? ' ' + note : ''}`)
        } catch (e) {
          failures.push(`${name}: ${test.name}`)
          console.log(`FAIL  ${name}: ${test.name} (${Date.now() - from} ms)\n      ${String(e.message ?? e).split('\n').slice(0, 14).join('\n      ')}`)
        }
      }
    }
    await Promise.all(Array.from({ length: suite.together ?? 1 }, worker))
  } finally {
    for (const server of Object.values(world.servers)) await server.close()
    await world.sink.close()
  }
}
await browser.close()
console.log(`${passed} passed, ${failures.length} failed in ${Math.round((Date.now() - began) / 1000)} s`)
for (const f of failures) console.log(`  ${f}`)
process.exit(failures.length ? 1 : 0)
