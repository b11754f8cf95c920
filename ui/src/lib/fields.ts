import type { Field, FieldsView } from './api.types'
import { formatValue } from './format'
import { t } from './i18n'

export interface FlatField {
  path: string
  label: string
  value: string
  from: string
  type: Field['type']
}

/** Every field that can be used, the nearest step first; what is inside of another one carries its name. */
export function flatFields(view: FieldsView | undefined): FlatField[] {
  const out: FlatField[] = []
  for (const group of view?.groups ?? []) {
    if (!group.named || group.locked) continue
    const walk = (fields: Field[] | null | undefined, before: string, folded: boolean) => {
      for (const f of fields ?? []) {
        const label = before ? `${before} › ${f.label}` : f.label
        const hidden = folded || Boolean(f.folded)
        if (f.path !== 'trigger.body' || f.type !== 'object') out.push({ path: f.path, label, value: shown(f), from: group.title, type: f.type })
        walk(f.children, f.path === 'trigger.body' ? '' : label, hidden)
      }
    }
    walk(group.fields, '', false)
  }
  // Short paths of the body come before headers and the rest of the envelope.
  const far = (f: FlatField) => Number(/^trigger\.(headers|query|params|method|path|raw|id|kind|at)\b/.test(f.path))
  return out.map((f, i) => ({ f, i })).sort((a, b) => far(a.f) - far(b.f) || a.i - b.i).map((x) => x.f)
}

export function shown(f: Field): string {
  if (f.type === 'list') return t('common.items', { count: f.count ?? 0 })
  if (f.type === 'object') return t('common.fields', { count: f.count ?? 0 })
  return formatValue(f.value, 200)
}
