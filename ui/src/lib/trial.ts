// What past events would have become with the draft: totals and rows in words. The server plays the events.
import type { Replayed, Total } from './api.types'
import { maybe, t, type Key } from './i18n'

/** "31 the same, 12 now stopped": what stayed first, then what matters most. */
export function totalsText(totals: Pick<Total, 'outcome' | 'count'>[]): string {
  const counts = new Map<string, number>([['same', 0]])
  for (const x of totals) counts.set(x.outcome, (counts.get(x.outcome) ?? 0) + x.count)
  return [...counts].map(([outcome, count]) => maybe(`editor.total_${outcome}`, { count }) ?? `${count} ${outcome}`).join(', ')
}

/** What is different about one event; `title` names a step. */
export function differenceText(item: Replayed, title: (step: string) => string): string {
  if (item.error) return item.error
  if (item.outcome === 'different' && item.change) return t(`editor.change_${item.change}` as Key, { step: title(item.step ?? '') })
  return maybe(`editor.outcome_${item.outcome}`) ?? item.outcome
}
