// The only way to the server: typed by the description of the API, errors as RFC 9457 problems.
import { auth } from './auth.svelte'
import type { Calls, Problem } from './api.types'

export type Call = keyof Calls
type Options<C extends Call> = {
  path?: Calls[C]['path']
  query?: Calls[C]['query']
  body?: Calls[C]['body']
  ifMatch?: string
  signal?: AbortSignal
}
export type Result<C extends Call> = Calls[C]['result']

/** A button that mends what went wrong: an address to open, or a call. */
export interface Fix {
  label: string
  action: string
}

/** What went wrong, for people. status 0: the server was not reached, so nothing is known. */
export class ApiError extends Error {
  override name = 'ApiError'
  readonly status: number
  readonly title: string
  readonly hint: string
  readonly effect: string
  readonly fixes: Fix[]
  readonly raw: string
  readonly code: string
  readonly problems: Problem[]
  /** 412: what is there now. */
  readonly version: string
  readonly text: string | undefined

  constructor(status: number, body: Record<string, unknown>) {
    super(String(body.detail || body.title || status))
    this.status = status
    const text = (name: string) => (typeof body[name] === 'string' ? (body[name] as string) : '')
    this.title = text('title')
    this.hint = text('hint')
    this.effect = text('effect')
    this.raw = text('raw')
    this.code = text('code')
    this.fixes = Array.isArray(body.fixes) ? (body.fixes as Fix[]) : []
    this.problems = Array.isArray(body.problems) ? (body.problems as Problem[]) : []
    this.version = text('version')
    this.text = typeof body.text === 'string' ? body.text : undefined
  }
}

export const isOffline = (e: unknown): boolean => e instanceof ApiError && e.status === 0
export const isGone = (e: unknown): boolean => e instanceof ApiError && e.status === 404
export const isStale = (e: unknown): e is ApiError => e instanceof ApiError && e.status === 412
export const isAbort = (e: unknown): boolean => e instanceof DOMException && e.name === 'AbortError'
export const messageOf = (e: unknown): string => (e instanceof Error ? e.message : String(e))

export function address(call: string, path?: object, query?: object): string {
  let url = call.slice(call.indexOf(' ') + 1)
  for (const [name, value] of Object.entries(path ?? {})) url = url.replace(`{${name}}`, encodeURIComponent(String(value)))
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const v of Array.isArray(value) ? value : [value]) if (v !== undefined && v !== null && v !== '') search.append(name, String(v))
  }
  const text = search.toString()
  return '/api/v1' + url + (text ? '?' + text : '')
}

/** Makes a call. A server that wants the token asks for it over the page and the call goes on, so no edit is lost. */
export async function api<C extends Call>(call: C, o: Options<C> = {}): Promise<Result<C>> {
  const method = call.slice(0, call.indexOf(' '))
  const headers: Record<string, string> = { Accept: 'application/json' }
  const body = o.body === undefined ? undefined : JSON.stringify(o.body)
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  if (o.ifMatch !== undefined) headers['If-Match'] = `"${o.ifMatch}"`
  for (;;) {
    const token = auth.token
    if (token) headers.Authorization = `Bearer ${token}`
    let response: Response
    try {
      response = await fetch(address(call, o.path, o.query), { method, headers, body, signal: o.signal })
    } catch (e) {
      if (isAbort(e)) throw e
      throw new ApiError(0, { detail: 'Bellhop cannot be reached.' })
    }
    if (response.status === 401) {
      await auth.ask(token)
      continue
    }
    const text = await response.text()
    let value: unknown
    try {
      value = text === '' ? undefined : JSON.parse(text)
    } catch {
      value = undefined
    }
    if (!response.ok) {
      throw new ApiError(response.status, (value as Record<string, unknown>) ?? { detail: `${response.status} ${response.statusText}` })
    }
    return value as Result<C>
  }
}
