// What people read for the contract's words. Files, API and command line keep the contract's.
import { maybe, t, type Key } from './i18n'

export type Status = 'queued' | 'running' | 'waiting' | 'succeeded' | 'filtered' | 'failed' | 'canceled' | 'skipped' | 'unknown' | 'not_reached'
export type Look = 'quiet' | 'ok' | 'info' | 'warn' | 'err'

const looks: Record<string, Look> = {
  queued: 'quiet',
  running: 'info',
  waiting: 'info',
  succeeded: 'ok',
  filtered: 'quiet',
  failed: 'err',
  canceled: 'quiet',
  skipped: 'quiet',
  unknown: 'warn',
  not_reached: 'quiet',
  not_taken: 'quiet',
  kept: 'quiet',
}
export const runStatuses = ['failed', 'running', 'waiting', 'queued', 'succeeded', 'filtered', 'canceled'] as const

/** How a status looks; a failed run that waits for a decision is a warning, not an error. */
export function lookOf(status: string, reason = ''): Look {
  return status === 'failed' && reason === 'unknown' ? 'warn' : (looks[status] ?? 'quiet')
}

export function statusLabel(status: string, reason = ''): string {
  if (status === 'failed' && reason === 'unknown') return t('status.unknown')
  return maybe(`status.${status}`) ?? status
}

export const outcomeLook: Record<string, Look> = {
  accepted: 'ok',
  duplicate: 'quiet',
  handshake: 'quiet',
  kept: 'quiet',
  dropped: 'warn',
  refused: 'err',
  failed: 'err',
}

/** The name of a step kind or a trigger kind, such as "Only continue if". */
export function kindLabel(kind: string): string {
  return maybe(`kind.${kind}` as Key) ?? kind
}
