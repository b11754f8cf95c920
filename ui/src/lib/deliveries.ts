import type { DeliveryItem } from './api.types'
import { t } from './i18n'

export const outcomes = ['accepted', 'duplicate', 'kept', 'dropped', 'refused', 'failed'] as const

/** What became of a call, in one sentence. */
export function deliverySentence(d: DeliveryItem, name?: string): string {
  const workflow = name ?? d.workflow
  switch (d.outcome) {
    case 'accepted':
      return workflow ? t('deliveries.started', { workflow }) : t('deliveries.taken')
    case 'duplicate':
      return t('deliveries.came_before')
    case 'kept':
      return d.reason ? capital(d.reason) : t('deliveries.was_kept', { workflow })
    default:
      return d.reason ? capital(d.reason) : t('deliveries.answered', { status: d.status })
  }
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.')

/** The command that sends the same call again from a terminal. */
export function curlOf(origin: string, method: string, path: string, event: Record<string, unknown> | undefined): string {
  const headers = (event?.headers ?? {}) as Record<string, unknown>
  const type = typeof headers['content-type'] === 'string' ? headers['content-type'] : 'application/json'
  const raw = typeof event?.raw === 'string' ? event.raw : event?.body === undefined ? '' : JSON.stringify(event.body)
  const quote = (s: string) => `'${s.replaceAll("'", `'\\''`)}'`
  return `curl -X ${method} ${quote(origin + path)} -H ${quote(`content-type: ${type}`)}${raw ? ` -d ${quote(raw)}` : ''}`
}
