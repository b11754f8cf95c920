// A list of any number of runs, of which a few pages are in memory. Pages are reached by their cursor; a jump passes
// rows over on the server, from the nearest page whose cursor is known.
import { api, isAbort } from './api'
import type { RunItem, RunPage } from './api.types'

export interface RunFilter {
  workflow?: string
  status?: string[]
  q?: string
  since?: string
  until?: string
}

export const pageSize = 200
const kept = 8 // pages with rows

type Fetcher = (query: Record<string, unknown>, signal: AbortSignal) => Promise<RunPage>
interface Page {
  /** undefined: the page was jumped to, and is reached from a page before it. */
  cursor: string | undefined
  rows: RunItem[] | undefined
}

export class RunList {
  /** Rows that are known to be there; the list may be longer. */
  known = $state(0)
  complete = $state(false)
  loaded = $state(false)
  busy = $state(false)
  error = $state.raw<unknown>()
  /** With a search: how many runs were looked at, and back to when something was found. */
  scanned = $state(0)
  back = $state('')

  private turn = $state(0) // moves on when rows came
  private pages = new Map<number, Page>([[0, { cursor: '', rows: undefined }]])
  private found: RunItem[] = []
  private next = ''
  private used: number[] = []
  private loading = new Set<number>()
  private abort = new AbortController()

  constructor(
    readonly filter: RunFilter,
    private readonly fetcher: Fetcher = (query, signal) => api('GET /runs', { query: query as never, signal }),
  ) {}

  /** The row at this place, or undefined while it is on its way. */
  at(i: number): RunItem | undefined {
    void this.turn
    if (this.filter.q) return this.found[i]
    const n = Math.floor(i / pageSize)
    return this.pages.get(n)?.rows?.[i - n * pageSize]
  }

  /** How many rows there are. A count that stopped at its bound says less: one page more can be scrolled to. */
  length(counted: { total: number; partial: boolean } | undefined): number {
    if (this.complete || this.filter.q) return this.known
    if (counted && !counted.partial) return Math.max(this.known, counted.total)
    return Math.max(this.known, counted?.total ?? 0) + (this.loaded ? pageSize : 0)
  }

  /** Fetches the first page, or what is shown. Call it when the view has moved. */
  async want(first: number, last: number): Promise<void> {
    if (this.filter.q) {
      if (!this.loaded) await this.searchFurther()
      return
    }
    const wanted = []
    for (let n = Math.floor(first / pageSize); n <= Math.floor(last / pageSize); n++) wanted.push(this.page(n))
    await Promise.all(wanted)
  }

  private async page(n: number): Promise<void> {
    if (this.pages.get(n)?.rows) {
      this.touch(n)
      return
    }
    if (this.loading.has(n) || (this.complete && n * pageSize >= this.known)) return
    let from = n
    while (this.pages.get(from)?.cursor === undefined) from--
    const cursor = this.pages.get(from)!.cursor
    await this.fetch(n, { cursor, skip: (n - from) * pageSize || undefined }, (got) => {
      this.pages.set(n, { cursor: n === from ? cursor : undefined, rows: got.items })
      this.known = Math.max(this.known, n * pageSize + got.items.length)
      if (!got.next) this.complete = this.complete || got.items.length > 0 || n === 0
      else if (this.pages.get(n + 1)?.cursor === undefined) this.pages.set(n + 1, { cursor: got.next, rows: this.pages.get(n + 1)?.rows })
      this.touch(n)
    })
  }

  /** One step of a text search, newest first; it says how far it got. */
  async searchFurther(): Promise<void> {
    if (this.loading.size || this.complete) return
    await this.fetch(0, { cursor: this.next }, (got) => {
      this.found.push(...got.items)
      this.next = got.next
      this.known = this.found.length
      this.scanned += got.scanned ?? 0
      this.back = got.items.at(-1)?.started_at ?? this.back
      this.complete = !got.next
    })
  }

  stop() {
    this.abort.abort()
  }

  private async fetch(n: number, query: Record<string, unknown>, take: (got: RunPage) => void): Promise<void> {
    this.loading.add(n)
    this.busy = true
    try {
      take(await this.fetcher({ ...this.filter, limit: pageSize, ...query }, this.abort.signal))
      this.error = undefined
      this.turn++
    } catch (e) {
      if (!isAbort(e)) this.error = e
    } finally {
      this.loading.delete(n)
      this.busy = this.loading.size > 0
      this.loaded = true
    }
  }

  /** Forgets the rows of pages that were not looked at for longest; their cursors stay. */
  private touch(n: number) {
    this.used = [...this.used.filter((other) => other !== n), n]
    while (this.used.length > kept) {
      const old = this.pages.get(this.used.shift()!)
      if (old) old.rows = undefined
    }
  }
}

export const ranges = ['1h', '12h', '24h', '7d', '30d'] as const

/** "12h" is that long ago; anything else is a time as it stands. */
export function sinceOf(text: string | undefined, now = Date.now()): string | undefined {
  const m = /^(\d+)([hd])$/.exec(text ?? '')
  if (!m) return text || undefined
  return new Date(now - Number(m[1]) * (m[2] === 'h' ? 3600e3 : 86400e3)).toISOString()
}

export function tookOf(run: { started_at: string; finished_at: string | null }): number | undefined {
  return run.finished_at ? new Date(run.finished_at).getTime() - new Date(run.started_at).getTime() : undefined
}
