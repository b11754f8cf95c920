import { api } from './api'
import type { WorkflowItem } from './api.types'
import { formatList, formatRelative } from './format'
import { t } from './i18n'
import { kindLabel } from './words'

export type Show = 'all' | 'on' | 'attention'

/** Every workflow; the pages are small and the list is searched as it is typed in. */
export async function allWorkflows(signal?: AbortSignal): Promise<WorkflowItem[]> {
  const items: WorkflowItem[] = []
  let cursor = ''
  do {
    const page = await api('GET /workflows', { query: { limit: 200, cursor }, signal })
    items.push(...page.items)
    cursor = page.next
  } while (cursor)
  return items
}

export const needsAttention = (w: WorkflowItem): boolean => w.health === 'attention' || w.health === 'failing'

/** What waits for a person comes first; else by name. */
export function arrange(items: WorkflowItem[], query: string, show: Show, tag: string): WorkflowItem[] {
  const wanted = query.trim().toLowerCase()
  return items
    .filter(
      (w) =>
        (show === 'all' || (show === 'on' ? w.enabled : needsAttention(w))) &&
        (!tag || w.tags.includes(tag)) &&
        (!wanted || haystack(w).includes(wanted)),
    )
    .sort((a, b) => Number(needsAttention(b)) - Number(needsAttention(a)) || a.name.localeCompare(b.name) || (a.id < b.id ? -1 : 1))
}

const haystack = (w: WorkflowItem): string =>
  [w.id, w.name, w.description, ...w.tags, ...w.chain.map((s) => `${s.connector ?? ''} ${s.title ?? ''}`)].join('\n').toLowerCase()

/** The steps in words, for the second line of a row. */
export function chainWords(w: WorkflowItem): string[] {
  const first = w.triggers.map((trigger) => (trigger.connector ? trigger.summary : kindLabel(trigger.kind)))
  return [...(first.length ? [first.slice(0, 2).join(' / ')] : []), ...w.chain.filter((s) => !s.depth).map((s) => s.title || kindLabel(s.kind))]
}

export function sparkLabel(w: WorkflowItem): string {
  const runs = w.spark.reduce((n, b) => n + b.runs, 0)
  const failed = w.spark.reduce((n, b) => n + b.failed, 0)
  return failed ? t('workflows.spark_failed', { runs, failed }) : t('workflows.spark', { runs })
}

/** What the switch says: whether it is on and how it has been doing. */
export function switchSentence(w: WorkflowItem): string {
  const failed = w.spark.reduce((n, b) => n + b.failed, 0)
  const parts = [t(w.enabled ? 'workflows.is_on' : 'workflows.is_off', { name: w.name })]
  if (w.last_run) parts.push(t('workflows.last_run', { ago: formatRelative(w.last_run.started_at) }))
  if (failed) parts.push(t('workflows.failures', { failed }))
  return parts.join(' ')
}

/** Why a row needs attention, as one sentence. */
export function reasonOf(w: WorkflowItem): string {
  const problem = w.problems.find((p) => !p.warning)
  if (problem) {
    const where = problem.line ? t('workflows.broken_at', { line: problem.line, message: problem.message }) : problem.message
    return w.version ? `${where} ${t('workflows.last_good')}` : where
  }
  if (w.reason) return w.reason.charAt(0).toUpperCase() + w.reason.slice(1) + '.'
  if (w.health === 'failing') return w.last_run?.summary || t('workflows.last_failed')
  return ''
}

export const tagsOf = (items: WorkflowItem[]): string[] => [...new Set(items.flatMap((w) => w.tags))].sort()
export const appsOf = (w: WorkflowItem): string => formatList([...new Set(w.chain.map((s) => s.connector ?? '').filter(Boolean))])

/** How a workflow is called where only its id is known: by its name, with the id where that name repeats. */
export function callName(id: string, items: WorkflowItem[]): string {
  const name = items.find((w) => w.id === id)?.name
  if (!name) return id
  return items.some((w) => w.id !== id && w.name === name) ? `${name} (${id})` : name
}
