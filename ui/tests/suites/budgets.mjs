// What the pages may weigh. Sizes are those of the files as the server sends them, so they are the same on every machine.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { newPage } from '../browser.mjs'

const dist = fileURLToPath(new URL('../../dist/', import.meta.url))
const walk = (dir) => readdirSync(dir).flatMap((f) => (statSync(dir + f).isDirectory() ? walk(dir + f + '/') : [dir + f]))
const zipped = (file) => {
  const plain = readFileSync(file)
  return Math.min(plain.length, gzipSync(plain, { level: 9 }).length)
}
const kb = (bytes) => Math.round(bytes / 102.4) / 10

export async function before(world, { startBellhop }) {
  world.servers = { full: await startBellhop({ sink: world.sink }) }
}

export function tests(world) {
  return [
    {
      name: 'ui/dist is at most 450 KB compressed',
      run: async () => {
        const size = walk(dist).reduce((sum, file) => sum + zipped(file), 0)
        assert.ok(size <= 450 * 1024, `${kb(size)} KB`)
        return `${kb(size)} KB`
      },
    },
    {
      name: 'the first screen loads at most 45 KB of script and 10 KB of style',
      run: async () => {
        const page = await newPage(world.browser, world.servers.full.url)
        try {
          const files = []
          page.on('request', (r) => files.push(new URL(r.url()).pathname))
          await page.goto(page.base + '/workflows')
          await page.getByRole('link', { name: 'Lead intake' }).waitFor()
          const of = (end) => [...new Set(files)].filter((f) => f.endsWith(end)).reduce((sum, f) => sum + zipped(dist + f.slice(1)), 0)
          assert.ok(of('.js') <= 45 * 1024, `${kb(of('.js'))} KB of script`)
          assert.ok(of('.css') <= 10 * 1024, `${kb(of('.css'))} KB of style`)
          assert.deepEqual(page.faults, [])
          return `${kb(of('.js'))} KB of script, ${kb(of('.css'))} KB of style`
        } finally {
          await page.context().close()
        }
      },
    },
  ]
}
