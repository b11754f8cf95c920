// A run as its page shows it: every step of the version that ran, with what became of it and when.
import type { OutlineItem, RunDetail, StepView, TryItem } from './api.types'
import { formatValue, labelOf } from './format'
import { t } from './i18n'
import { kindLabel } from './words'

export interface Segment {
  /** Shares of the whole, 0 to 1. */
  start: number
  size: number
  kind: 'ok' | 'bad' | 'wait' | 'live' | 'quiet'
}

export interface RunStep {
  id: string
  number: number
  kind: string
  app: string
  title: string
  detail: string
  depth: number
  status: string
  view?: StepView
  tries: TryItem[]
  segments: Segment[]
  /** Of a loop: those of its rounds that are known, failed ones first. */
  rounds: StepView[]
}

/** How long the run took, or takes by now, in ms; at least one, so that shares of it are defined. */
export function spanOf(run: RunDetail, now: number): number {
  const end = run.finished_at ? new Date(run.finished_at).getTime() : now
  return Math.max(1, end - new Date(run.started_at).getTime())
}

export function stepsOf(run: RunDetail, now = Date.now()): RunStep[] {
  const views = new Map((run.steps ?? []).map((s) => [s.id, s]))
  const span = spanOf(run, now)
  const plan: OutlineItem[] = run.plan.length ? run.plan : (run.steps ?? []).map((s) => ({ id: s.id, kind: s.kind, title: s.name }))
  const known = new Set(plan.map((p) => p.id))
  const roundOf = (s: StepView) => /^(.*)\[\d+\]$/.exec(s.id)?.[1]
  const extra = (run.steps ?? []).filter((s) => !known.has(s.id) && !known.has(roundOf(s) ?? '')).map((s): OutlineItem => ({ id: s.id, kind: s.kind || 'use', title: s.name || s.id, depth: 1 }))
  let number = 0
  return [...plan, ...extra].map((item) => {
    const view = views.get(item.id)
    const tries = run.tries.filter((x) => x.step === item.id)
    if (!item.depth) number++
    return {
      id: item.id,
      number: item.depth ? 0 : number,
      kind: item.kind,
      app: item.connector ?? '',
      title: item.title || kindLabel(item.kind),
      detail: item.detail ?? '',
      depth: item.depth ?? 0,
      status: view?.status ?? missing(run, item),
      view,
      tries,
      segments: view ? segmentsOf(run, view, tries, span, now) : [],
      rounds: item.kind === 'for_each' ? (run.steps ?? []).filter((s) => roundOf(s) === item.id).sort((a, b) => Number(b.status === 'failed') - Number(a.status === 'failed')) : [],
    }
  })
}

/** A step without a record: a filter that let the run pass leaves none, the rest was not reached. */
function missing(run: RunDetail, item: OutlineItem): string {
  const order = run.plan.map((p) => p.id)
  const later = (run.steps ?? []).some((s) => order.indexOf(s.id) > order.indexOf(item.id))
  if (item.kind === 'filter' && (later || run.status === 'succeeded')) return 'succeeded'
  if (later) return 'skipped'
  return run.finished_at ? 'not_reached' : 'queued'
}

function segmentsOf(run: RunDetail, view: StepView, tries: TryItem[], span: number, now: number): Segment[] {
  const begin = new Date(run.started_at).getTime()
  const share = (ms: number) => Math.max(0, Math.min(1, ms / span))
  const part = (from: number, ms: number, kind: Segment['kind']): Segment => {
    const start = share(from - begin)
    return { start, size: Math.min(share(ms), 1 - start), kind }
  }
  const kindOf = (status: string): Segment['kind'] =>
    status === 'failed' || status === 'unknown' ? 'bad' : status === 'running' ? 'live' : status === 'succeeded' ? 'ok' : 'quiet'
  if (tries.length > 1) {
    const out: Segment[] = []
    let end = 0
    for (const one of tries) {
      const at = new Date(one.started_at).getTime()
      if (end && at > end) out.push(part(end, at - end, 'wait'))
      out.push(part(at, one.ms, one.status === 'succeeded' ? 'ok' : 'bad'))
      end = at + one.ms
    }
    if (view.retry_at && !run.finished_at) out.push(part(end, now - end, 'wait'))
    return out
  }
  const at = new Date(view.started_at).getTime()
  if (view.status === 'running' || view.status === 'waiting') return [part(at, now - at, view.status === 'waiting' ? 'wait' : 'live')]
  return [part(at, view.ms, kindOf(view.status))]
}

/** Marks of the time axis: at most five round numbers. */
export function ticks(span: number): number[] {
  const rough = span / 4
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 0.001)))
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? rough
  const out = []
  for (let at = 0; at <= span * 1.0001; at += step) out.push(at)
  return out
}

/** "Amount was 40 and must be greater than 100" of a comparison that decided a filter. */
export function becauseSentence(c: { source: string; left: unknown; op: string; right?: unknown; result: boolean }): string {
  const path = /^[\w.[\]"?]+/.exec(c.source.trim())?.[0] ?? c.source
  const label = labelOf(path.split('.').at(-1) ?? path)
  const left = c.left === null || c.left === undefined ? t('run.is_missing') : formatValue(c.left, 80)
  const params = { label, left, right: formatValue(c.right, 80) }
  switch (c.op) {
    case '>':
      return t('run.because_gt', params)
    case '>=':
      return t('run.because_ge', params)
    case '<':
      return t('run.because_lt', params)
    case '<=':
      return t('run.because_le', params)
    case '==':
      return t('run.because_eq', params)
    case '!=':
      return t('run.because_ne', params)
    case '':
      return t('run.because_is', params)
    default:
      return t('run.because_op', { ...params, op: c.op })
  }
}
