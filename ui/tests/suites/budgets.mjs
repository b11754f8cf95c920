// What the pages may weigh. Sizes are those of the files as the server sends them, so they are the same on every machine.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const dist = fileURLToPath(new URL('../../dist/', import.meta.url))
const walk = (dir) => readdirSync(dir).flatMap((f) => (statSync(dir + f).isDirectory() ? walk(dir + f + '/') : [dir + f]))
const zipped = (file) => {
  const plain = readFileSync(file)
  return Math.min(plain.length, gzipSync(plain, { level: 9 }).length)
}
const kb = (bytes) => Math.round(bytes / 102.4) / 10

export function tests() {
  return [
    {
      name: 'ui/dist is at most 450 KB compressed',
      run: async () => {
        const size = walk(dist).reduce((sum, file) => sum + zipped(file), 0)
        assert.ok(size <= 450 * 1024, `${kb(size)} KB`)
        return `${kb(size)} KB`
      },
    },
  ]
}
