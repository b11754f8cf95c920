// Numbers, times and sizes as the reader's language writes them.
import { locale, t } from './i18n'

const whole = new Intl.NumberFormat(locale)
const one = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 })
const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const minute = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' })
const day = new Intl.DateTimeFormat(locale, { weekday: 'short', day: 'numeric', month: 'short' })
const exact = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' })
const short = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })
const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' })
const list = new Intl.ListFormat(locale, { type: 'conjunction' })

export const formatNumber = (n: number): string => whole.format(n)
export const formatClock = (at: string | Date): string => clock.format(new Date(at))
export const formatMinute = (at: string | Date): string => minute.format(new Date(at))
export const formatDay = (at: string | Date): string => day.format(new Date(at))
export const formatExact = (at: string | Date): string => exact.format(new Date(at))
export const formatShort = (at: string | Date): string => short.format(new Date(at))
export const formatList = (items: string[]): string => list.format(items)

export function sameDay(a: string | Date, b: string | Date): boolean {
  return new Date(a).toDateString() === new Date(b).toDateString()
}

/** "2 min ago", "in 3 hr."; seconds are "just now". */
export function formatRelative(at: string | Date, now: number = Date.now()): string {
  const seconds = (new Date(at).getTime() - now) / 1000
  const size = Math.abs(seconds)
  if (size < 10) return t('time.now')
  if (size < 60) return relative.format(Math.round(seconds), 'second')
  if (size < 3600) return relative.format(Math.round(seconds / 60), 'minute')
  if (size < 86400) return relative.format(Math.round(seconds / 3600), 'hour')
  if (size < 86400 * 30) return relative.format(Math.round(seconds / 86400), 'day')
  return day.format(new Date(at))
}

/** A span of time: "<1 ms", "342 ms", "4.2 s", "3 min 4 s", "2 h 5 min", "3 d 4 h". */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return '–'
  if (ms > 0 && ms < 1) return `<1 ms`
  if (ms < 1000) return `${whole.format(Math.round(ms))} ms`
  const s = ms / 1000
  if (s < 60) return `${one.format(s)} s`
  const pair = (size: number, big: string, rest: number, little: string) =>
    `${whole.format(size)} ${big}` + (rest ? ` ${whole.format(rest)} ${little}` : '')
  if (s < 3600) return pair(Math.floor(s / 60), 'min', Math.floor(s % 60), 's')
  if (s < 86400) return pair(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min')
  return pair(Math.floor(s / 86400), 'd', Math.floor((s % 86400) / 3600), 'h')
}

export function formatBytes(n: number): string {
  if (n < 1000) return `${whole.format(n)} B`
  if (n < 1e6) return `${one.format(n / 1000)} kB`
  if (n < 1e9) return `${one.format(n / 1e6)} MB`
  return `${one.format(n / 1e9)} GB`
}

/** A plain value in one line, for tables and the data panel. */
export function formatValue(value: unknown, most = 200): string {
  let text: string
  if (value === null || value === undefined) text = ''
  else if (typeof value === 'string') text = value
  else if (typeof value === 'object') text = JSON.stringify(value)
  else text = String(value)
  return text.length > most ? text.slice(0, most) + '…' : text
}

/** customer_name, customerName and customer-name are all "Customer name"; what is no word stays. */
export function labelOf(name: string): string {
  if (!/^[\p{L}_][\p{L}\p{N}_-]*$/u.test(name)) return name
  const words = name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/[_-]+/g, ' ').trim()
  if (!words) return name
  return words[0]!.toUpperCase() + (words === words.toUpperCase() ? words.slice(1) : words.slice(1).toLowerCase())
}
