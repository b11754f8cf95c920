// The one event stream of this tab. It is read with fetch and not with EventSource, which can send no token. It resumes
// where it was; after a gap the server sends `reset`, and every subscriber fetches anew.
import { auth } from './auth.svelte'

export interface ServerEvent {
  type: string
  data: Record<string, unknown>
}
type Handler = (e: ServerEvent) => void
interface Subscriber {
  topics: string[]
  ready?: () => void
}

class Stream {
  state = $state<'connecting' | 'open' | 'down'>('connecting')
  /** The server was replaced by another build: this page should be loaded again. */
  updated = $state(false)

  private subscribers = new Map<Handler, Subscriber>()
  private topics = ''
  private lastID = ''
  private build: string | undefined
  private abort: AbortController | undefined
  private change: ReturnType<typeof setTimeout> | undefined
  private pause = 500

  /** Calls f for events of these topics until the returned function is called, and ready whenever the server begins to
   *  listen to them: what happened before that is not told. */
  on(topics: string[], f: Handler, ready?: () => void): () => void {
    this.subscribers.set(f, { topics, ready })
    this.changed()
    return () => {
      this.subscribers.delete(f)
      this.changed()
    }
  }

  /** Several parts of a page come and go at once: one new connection serves them all. */
  private changed() {
    clearTimeout(this.change)
    this.change = setTimeout(() => {
      const topics = [...new Set([...this.subscribers.values()].flatMap((s) => s.topics))].sort().join(',')
      if (topics === this.topics && this.abort) return
      this.topics = topics
      this.abort?.abort()
      this.abort = undefined
      if (topics) void this.run()
    }, 30)
  }

  private async run() {
    const abort = (this.abort = new AbortController())
    while (!abort.signal.aborted) {
      try {
        await this.read(abort.signal)
        this.pause = 500
      } catch {
        // told by the state below
      }
      if (abort.signal.aborted) return
      this.state = 'down'
      await new Promise((resolve) => setTimeout(resolve, this.pause))
      this.pause = Math.min(this.pause * 1.5, 5000)
    }
  }

  private async read(signal: AbortSignal) {
    const headers: Record<string, string> = { Accept: 'text/event-stream' }
    if (auth.token) headers.Authorization = `Bearer ${auth.token}`
    if (this.lastID) headers['Last-Event-ID'] = this.lastID
    const tried = auth.token
    const response = await fetch('/api/v1/events?topics=' + encodeURIComponent(this.topics), { headers, signal })
    if (response.status === 401) {
      await auth.ask(tried)
      return
    }
    if (!response.ok || !response.body) throw new Error(String(response.status))
    const wasDown = this.state === 'down'
    this.state = 'open'
    this.pause = 500
    if (wasDown && !this.lastID) this.send({ type: 'reset', data: {} })
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return
      text += value
      let end: number
      while ((end = text.indexOf('\n\n')) >= 0) {
        this.message(text.slice(0, end))
        text = text.slice(end + 2)
      }
    }
  }

  private message(block: string) {
    let type = ''
    let data = ''
    for (const line of block.split('\n')) {
      if (line.startsWith('id: ')) this.lastID = line.slice(4)
      else if (line.startsWith('event: ')) type = line.slice(7)
      else if (line.startsWith('data: ')) data += line.slice(6)
    }
    if (!type) return
    let value: Record<string, unknown>
    try {
      value = JSON.parse(data)
    } catch {
      return
    }
    if (type === 'server.hello') {
      const build = String(value.build ?? '')
      if (this.build !== undefined && this.build !== build) this.updated = true
      this.build = build
      const heard = this.topics.split(',')
      for (const s of [...this.subscribers.values()]) if (s.topics.every((topic) => heard.includes(topic))) s.ready?.()
      return
    }
    this.send({ type, data: value })
  }

  private send(e: ServerEvent) {
    for (const f of [...this.subscribers.keys()]) f(e)
  }
}

export const stream = new Stream()
