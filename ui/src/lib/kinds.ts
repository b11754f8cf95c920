// The step kinds of the language: what a new one begins as, and what its form asks.
import { t, type Key } from './i18n'
import { statusLabel } from './words'

export interface Kind {
  kind: string
  also: string
  value: Record<string, unknown>
}

export const kinds: Kind[] = [
  { kind: 'filter', also: 'filter condition if', value: { filter: null } },
  { kind: 'set', also: 'map format set field transform', value: { set: null } },
  { kind: 'paths', also: 'branch switch if else', value: { paths: [{ name: `${t('map.path')} A`, when: null, steps: [] }, { name: `${t('map.path')} B`, steps: [] }] } },
  { kind: 'for_each', also: 'loop each list', value: { for_each: { in: null }, steps: [] } },
  { kind: 'parallel', also: 'parallel together', value: { parallel: [{ name: 'a', steps: [] }, { name: 'b', steps: [] }] } },
  { kind: 'wait', also: 'delay until callback pause', value: { wait: { for: '1h' } } },
  { kind: 'approve', also: 'approval person decision', value: { approve: { message: '' } } },
  { kind: 'call', also: 'sub-workflow', value: { call: { workflow: '' } } },
  { kind: 'respond', also: 'webhook reply answer', value: { respond: { status: 200, body: '' } } },
  { kind: 'stop', also: 'end', value: { stop: { as: 'succeeded', message: '' } } },
]

export const kindHelp = (kind: string): string => t(`editor.help_${kind}` as Key)

type Schema = Record<string, unknown>
const text = (title: string, extra: Schema = {}): Schema => ({ type: 'string', title, ...extra })

/** The forms of kinds that hold a few values, as schemas, so that one form draws them all. */
export function kindSchema(kind: string): Schema | undefined {
  switch (kind) {
    case 'wait':
      return undefined // it has three forms
    case 'approve':
      return { properties: { message: text(t('editor.question'), { 'x-multiline': true }), timeout: text(t('editor.answer_within'), { description: t('editor.duration_help') }), on_decline: { title: t('editor.declined'), enum: ['stop', 'continue'], default: 'stop', 'x-labels': [t('editor.declined_stop'), t('editor.declined_continue')] } }, required: ['message'] }
    case 'call':
      return { properties: { workflow: text(t('editor.which_workflow')), with: { type: 'object', title: t('editor.hand_over') } }, required: ['workflow'] }
    case 'respond':
      return { properties: { status: { type: 'integer', title: t('editor.http_status') }, body: text(t('editor.body'), { 'x-multiline': true }), headers: { type: 'object', title: t('editor.headers') } } }
    case 'stop':
      return { properties: { as: { title: t('editor.stop_as'), enum: ['succeeded', 'failed', 'filtered', 'canceled'], 'x-labels': ['succeeded', 'failed', 'filtered', 'canceled'].map((s) => statusLabel(s)) }, message: text(t('editor.message')) } }
    case 'for_each':
      return { properties: { in: { type: 'string', title: t('editor.list_of'), 'x-expression': true }, as: text(t('editor.called'), { description: t('editor.called_help'), examples: ['item'] }), concurrency: { type: 'integer', title: t('editor.at_a_time'), description: t('editor.at_a_time_help') } }, required: ['in'] }
  }
  return undefined
}
