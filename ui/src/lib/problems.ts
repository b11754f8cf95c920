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
  return next ? { text: next, hint: '', todo: true } : { text: sentence(p.message), hint: sentence(p.hint ?? ''), todo: false }
}

function todo(message: string): string | undefined {
  const empty = /^(filter|set|when|in) has no value$/.exec(message)
  if (empty) return t(`editor.todo_${empty[1]}` as Key)
  if (message.endsWith(' has at least one step')) return t('editor.todo_steps')
  if (message.startsWith('"" cannot be part of a workflow id')) return t('editor.todo_call')
  const input = /^(?:[\w.]+ needs the input ([\w-]+)|([\w-]+) is empty)$/.exec(message)
  return input ? t('editor.todo_input', { name: labelOf(input[1] ?? input[2]!) }) : undefined
}
