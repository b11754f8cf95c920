// What a poll did, and what it would do, as sentences.
import type { DryPoll, PollRecord, PollState, Rewound } from './api.types'
import { formatDuration, formatRelative } from './format'
import { t } from './i18n'

/** "12 items, 4 of them new: 4 runs started." of one look. */
export function lookSentence(r: PollRecord): string {
  if (r.error) return t('trigger.look_failed', { why: r.error })
  if (r.unchanged) return t('trigger.look_unchanged')
  if (r.baseline) return t('trigger.look_baseline', { count: r.new })
  if (r.fetched === 0) return t('trigger.look_nothing')
  if (r.new === 0) return t('trigger.look_none_new', { count: r.fetched })
  return t('trigger.look_new', { count: r.fetched, fresh: r.new, runs: r.started })
}

/** When and how it looks: "Looks every 5 min". */
export function everySentence(p: PollState): string {
  const ms = spanOf(p.every)
  return ms ? t('trigger.every', { span: formatDuration(ms) }) : t('trigger.cron', { cron: p.cron ?? '' })
}

/** A span as Go writes it, such as 1h30m0s, in ms. */
export function spanOf(text: string | undefined): number {
  const units: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 }
  let sum = 0
  for (const [, n, unit] of (text ?? '').matchAll(/([\d.]+)(h|ms|m|s)/g)) sum += Number(n) * units[unit!]!
  return sum
}

/** What comes next, for the line below the heading of a poll. */
export function nextSentence(p: PollState, enabled: boolean, now: number): string {
  if (!enabled || !p.next_poll) return t('trigger.next_never')
  const ago = new Date(p.next_poll).getTime() < now + 2000
  if (p.failures) return ago ? t('trigger.retry_now') : t('trigger.retry_at', { when: formatRelative(p.next_poll, now) })
  return ago ? t('trigger.next_now') : t('trigger.next_at', { when: formatRelative(p.next_poll, now) })
}

export function dryTitle(d: DryPoll): string {
  if (d.baseline) return t('trigger.dry_baseline', { count: d.new })
  return d.would_start ? t('trigger.dry_would', { count: d.would_start }) : t('trigger.dry_none')
}
export function drySentence(d: DryPoll): string {
  if (d.baseline) return t('trigger.dry_baseline_text')
  if (d.fetched === 0) return t('trigger.dry_empty')
  return d.new ? t('trigger.dry_counts', { count: d.fetched, fresh: d.new }) : t('trigger.dry_counts_none', { count: d.fetched })
}

/** What a rewind does, before it is done. */
export function rewindSentence(r: Rewound): string {
  return r.keys ? t('trigger.rewind_does', { count: r.keys, runs: r.may_start }) : t('trigger.rewind_nothing')
}

/** A time as an input of the kind datetime-local has it: local, to the minute. */
export function localTime(at: Date): string {
  const two = (n: number) => String(n).padStart(2, '0')
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`
}
