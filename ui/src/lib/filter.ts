// Rows of a condition. The meaning of a test is the server's; here are only the choices that a row offers.
import type { Row, Rows } from './api.types'
import type { FlatField } from './fields'

const tests: Record<string, string[]> = {
  text: ['is', 'is_not', 'contains', 'not_contains', 'starts_with', 'ends_with', 'one_of', 'not_one_of', 'matches', 'has_value', 'is_empty'],
  number: ['greater', 'is', 'is_not', 'greater_or_equal', 'less', 'less_or_equal', 'between', 'one_of'],
  date: ['before', 'after', 'within_last'],
  boolean: ['is'],
  list: ['contains', 'is_empty', 'has_more_than'],
}

export const testsOf = (type: string): string[] => tests[type] ?? tests.text!

export const emptyRow = (): Row => ({ field: '', test: 'is', type: 'text' })

export function typeOf(row: Row, fields: FlatField[]): string {
  if (row.type) return row.type
  const type = fields.find((f) => f.path === row.field)?.type
  return type && type in tests ? type : 'text'
}

export function withTest(row: Row, test: string): Row {
  const next: Row = { ...row, test }
  if (test === 'has_value' || test === 'is_empty') {
    delete next.value
    delete next.to
  }
  if (test === 'one_of' || test === 'not_one_of') next.value = Array.isArray(row.value) ? row.value : row.value === undefined || row.value === '' ? [] : [row.value]
  else if (Array.isArray(row.value)) next.value = row.value[0]
  if (test !== 'between') delete next.to
  return next
}

/** What was typed as the value that the test takes; an unfinished number stays text, and the row waits. */
export function withValue(row: Row, typed: string, type: string): Row {
  const one = (s: string): unknown => (type === 'number' && s.trim() !== '' && Number.isFinite(Number(s)) ? Number(s) : s)
  if (row.test === 'one_of' || row.test === 'not_one_of') return { ...row, value: typed.split(',').map((s) => one(s.trim())) }
  if (row.test === 'has_more_than') return { ...row, value: Number(typed) }
  const next: Row = { ...row, value: one(typed) }
  // A text is compared without regard to case, unless the row says otherwise.
  if (type === 'text' && row.ignore_case === undefined && ['contains', 'not_contains', 'starts_with', 'ends_with', 'is', 'is_not'].includes(row.test ?? '')) {
    if (/[a-z]/i.test(typed)) next.ignore_case = row.test !== 'is' && row.test !== 'is_not'
  }
  return next
}

export const valueText = (value: unknown): string => (value === undefined || value === null ? '' : Array.isArray(value) ? value.join(', ') : String(value))

/** The rows that say something: a field, a test, and a value where the test takes one. */
export function complete(rows: Rows): Rows {
  const items = rows.items.flatMap((row): Row[] => {
    if (row.group) {
      const group = complete(row.group)
      return group.items.length ? [{ group }] : []
    }
    if (!row.field || !row.test) return []
    if (row.test === 'has_value' || row.test === 'is_empty' || row.path) return [row]
    if (row.value === undefined || row.value === '' || (Array.isArray(row.value) && row.value.every((v) => v === ''))) return []
    if (row.type === 'number' && row.test !== 'one_of' && row.test !== 'not_one_of' && typeof row.value !== 'number') return []
    if (row.test === 'between' && typeof row.to !== 'number') return []
    return [row]
  })
  return { match: rows.match, items }
}
