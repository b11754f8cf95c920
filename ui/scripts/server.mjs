import { createServer } from 'node:net'

/** A port of the loopback that is free now. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

/** Repeats f until it gives something that is not undefined; its last error is the reason when time is up. */
export async function until(f, { timeout = 15000, every = 40, what = 'it' } = {}) {
  const end = Date.now() + timeout
  let last
  for (;;) {
    try {
      const value = await f()
      if (value !== undefined && value !== false && value !== null) return value
    } catch (e) {
      last = e
    }
    if (Date.now() > end) throw new Error(`waited ${timeout} ms for ${what}${last ? ': ' + last.message : ''}`)
    await new Promise((resolve) => setTimeout(resolve, every))
  }
}
