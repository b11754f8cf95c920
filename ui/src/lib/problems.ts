// What an editor says of a problem. A step that was just added lacks something, which is no mistake of anybody: it says
// what comes next. The rest is told as the checker does, with its hint.
import type { Problem } from './api.types'
import { labelOf } from './format'
import { t, type Key } from './i18n'

export interface Told {
  text: string
  hint: string
  /** Something is still to be filled in. */
  todo: boolean
}

const sentence = (text: string): string => (text ? text[0]!.toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? '' : '.') : '')

export function told(p: Pick<Problem, 'message' | 'hint'>): Told {
  const next = todo(p.message)
  const gone = /^there is no step "([^"]*)"$/.exec(p.message)
  if (gone) return { text: t('editor.gone_step', { id: gone[1]! }), hint: '', todo: false }
  return next ? { text: next, hint: '', todo: true } : { text: sentence(p.message), hint: sentence(p.hint ?? ''), todo: false }
}

function todo(message: string): string | undefined {
  const empty = /^(filter|set|when|in|until) has no value$/.exec(message)
  if (empty) return t(`editor.todo_${empty[1]}` as Key)
  if (message === 'a workflow has at least one step') return t('editor.todo_first')
  if (message.endsWith(' has at least one step')) return t('editor.todo_steps')
  if (message.startsWith('"" cannot be part of a workflow id')) return t('editor.todo_call')
  const input = /^(?:[\w.]+ needs the input ([\w-]+)|([\w-]+) is empty)$/.exec(message)
  const key = input?.[1] ?? input?.[2]
  return key ? t('editor.todo_input', { name: key === 'url' ? t('editor.todo_address') : labelOf(key) }) : undefined
}
