// A real Bellhop for tests: the built binary, a folder of its own, a stand-in for the systems that it calls.
import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { freePort, until } from '../scripts/server.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const binary = here + '../../bin/bellhop'

/** The world outside: a chat that knows #sales, a customer, a list of orders, feeds whose items a test sets; anything else
 *  is missing. */
export async function startSink() {
  const calls = []
  const feeds = {} // name: {items, status, silent}; an answer has an ETag, and 304 when nothing has changed
  const server = createServer((req, res) => {
    let body = ''
    req.on('data', (d) => (body += d))
    req.on('end', () => {
      calls.push({ method: req.method, path: req.url, body })
      const answer = (status, value) => {
        res.writeHead(status, { 'Content-Type': 'application/json' })
        res.end(JSON.stringify(value))
      }
      const url = new URL(req.url, 'http://x')
      if (url.pathname === '/plain') {
        res.writeHead(200, { 'Content-Type': 'text/html' })
        return res.end('<!doctype html><title>Plain</title><link rel="icon" href="data:,"><p>Nothing but text</p><input>')
      }
      if (url.pathname === '/slow') return setTimeout(() => answer(200, { ok: true }), 1500)
      if (url.pathname === '/chat') {
        const channel = (() => {
          try {
            return JSON.parse(body).channel
          } catch {
            return undefined
          }
        })()
        return channel && channel !== '#sales' ? answer(404, { ok: false, error: 'channel_not_found' }) : answer(200, { ok: true, ts: '1712.0001' })
      }
      if (url.pathname.startsWith('/services/')) {
        // An address of a chat's incoming webhook: what is no message is refused, a message is answered as Slack does.
        const { text } = JSON.parse(body || '{}')
        res.writeHead(text ? 200 : 400, { 'Content-Type': 'text/html' })
        return res.end(text ? 'ok' : 'no_text')
      }
      if (url.pathname === '/customer') return answer(200, { id: 'C-204', name: 'Analytical Engines', since: '1843-07-10' })
      if (url.pathname === '/orders') return answer(200, [{ id: 1, total: 129 }, { id: 2, total: 40.5 }])
      if (url.pathname === '/issues') return answer(200, [{ id: 'I-1', title: 'The bell does not ring' }, { id: 'I-2', title: 'It rings twice' }])
      if (url.pathname.startsWith('/feed/')) {
        const { items = [], status = 200, silent } = feeds[url.pathname.slice(6)] ?? {}
        if (silent) return // it lets who asks wait
        if (status !== 200) return answer(status, { error: 'unavailable', message: 'The shop is closed for maintenance' })
        const tag = JSON.stringify(String(JSON.stringify(items).length))
        if (req.headers['if-none-match'] === tag) return res.writeHead(304).end()
        res.setHeader('ETag', tag)
        return answer(200, items)
      }
      if (url.pathname === '/mail') return answer(202, {})
      answer(404, { error: 'not_found', message: 'There is nothing here' })
    })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}`, calls, feeds, close: () => new Promise((r) => (server.closeAllConnections(), server.close(r))) }
}

const walk = (dir) => readdirSync(dir).flatMap((f) => (statSync(dir + '/' + f).isDirectory() ? walk(dir + '/' + f) : [dir + '/' + f]))

/** Starts Bellhop on a copy of tests/folder (`empty`: on a new folder; `stored`: with so many runs that have ended) and
 *  returns how to talk to it and how to stop it. */
export async function startBellhop({ sink, empty = false, stored = 0, port, dir, env = {} } = {}) {
  const fresh = !dir
  dir ??= mkdtempSync(tmpdir() + '/bellhop-ui-')
  port ??= await freePort()
  if (fresh) {
    if (empty) writeFileSync(dir + '/bellhop.yaml', 'outbound: {allow: [127.0.0.1]}\n')
    else {
      cpSync(here + 'folder', dir, { recursive: true })
      for (const file of walk(dir)) writeFileSync(file, readFileSync(file, 'utf8').replaceAll('SINK', sink?.url ?? 'http://127.0.0.1:9'))
    }
  }
  if (stored) execFileSync('go', ['run', './cmd/bench', '-fill', dir + '/data', '-stored', String(stored)], { cwd: here + '../..', stdio: ['ignore', 'ignore', 'inherit'] })
  const url = `http://127.0.0.1:${port}`
  let log = ''
  let child
  const start = async () => {
    child = spawn(binary, ['serve', '--dir', dir, '--listen', `127.0.0.1:${port}`], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, BELLHOP_ADMIN_TOKEN: '', ...env } })
    child.stdout.on('data', (d) => (log += d))
    child.stderr.on('data', (d) => (log += d))
    child.on('exit', (code) => {
      if (code) log += `\nexit ${code}\n`
    })
    try {
      await until(async () => (await fetch(url + '/readyz')).ok, { what: 'Bellhop' })
    } catch (e) {
      throw new Error(e.message + '\n' + log)
    }
  }
  const stop = () =>
    new Promise((resolve) => {
      if (child.exitCode !== null) return resolve()
      child.once('exit', resolve)
      child.kill('SIGTERM')
    })
  /** Kills it in the middle of what it does, and starts it again. */
  const crash = async () => {
    await new Promise((resolve) => {
      child.once('exit', resolve)
      child.kill('SIGKILL')
    })
    await start()
  }
  await start()
  const call = async (method, path, body, headers = {}) => {
    const response = await fetch(url + path, { method, headers: body === undefined ? headers : { 'Content-Type': 'application/json', ...headers }, body: body === undefined ? undefined : JSON.stringify(body) })
    const text = await response.text()
    const value = text ? JSON.parse(text) : undefined
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return value
  }
  return {
    url,
    sink,
    dir,
    port,
    log: () => log,
    call,
    /** Writes the file of a workflow, new or not, as somebody with an editor of their own would. */
    publish: async (id, text) => {
      const there = (await fetch(`${url}/api/v1/workflows/${encodeURIComponent(id)}`)).ok
      await call('PUT', `/api/v1/workflows/${encodeURIComponent(id)}/text`, { text }, there ? { 'If-Match': '*' } : {})
    },
    start,
    stop,
    crash,
    /** Waits until no run is under way. */
    settle: () => until(async () => (await call('GET', '/api/v1/runs?status=queued&status=running&status=waiting&limit=1')).items.length === 0, { what: 'runs to end', timeout: 30000 }),
    close: async () => {
      await stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Runs of every kind: done, stopped by a filter, failed, and calls that were refused. */
export async function seedRuns(bell, { many = 24 } = {}) {
  await fetch(bell.url + '/hooks/lead-intake', { method: 'POST', headers: { 'Content-Type': 'text/csv' }, body: 'a,b' })
  const people = ['Ada Lovelace', 'Grace Hopper', 'Edsger Dijkstra', 'Barbara Liskov', 'Donald Knuth', 'Radia Perlman']
  for (let i = 0; i < many; i++) {
    const name = people[i % people.length]
    await bell.call('POST', '/hooks/lead-intake', { name, email: name.split(' ')[0].toLowerCase() + '@example.com', amount: i % 3 === 1 ? 40 : 240 + i, company: 'Analytical Engines', message: 'We need 12 looms by Friday.', items: [{ title: 'Loom', count: 12 }, { title: 'Card', count: 400 }] })
  }
  for (let i = 0; i < 4; i++) await bell.call('POST', '/hooks/people/new-hire', { name: people[i] })
  for (let i = 0; i < 3; i++) await bell.call('POST', '/hooks/tickets', { id: i, subject: 'The bell does not ring', priority: i ? 'low' : 'high' })
  await bell.call('POST', '/hooks/invoices', { number: 'RE-2041', total: 119.5, from: 'billing@example.com' })
  await fetch(bell.url + '/hooks/lead-intake', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"name": "Ada", ' })
  await bell.settle()
  await bell.call('POST', '/hooks/refunds', { order: 'R-77', total: 129 })
  await until(async () => (await bell.call('GET', '/api/v1/approvals')).items.length > 0, { what: 'a question' })
}
