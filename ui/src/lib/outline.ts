// A workflow as a form shows it: its triggers and steps with their places, and what a run did with them.
import type { Card, Model, OutlineEntry, OutlineField, OutlineList, RunDetail } from './api.types'
import { apps } from './apps.svelte'
import { labelOf } from './format'
import { t } from './i18n'
import { stepsOf } from './run'
import { partsOf } from './template'
import { kindLabel } from './words'

export const fieldOf = (entry: { fields: OutlineField[] } | undefined, key: string): OutlineField | undefined => entry?.fields.find((f) => f.key === key)
export const textOf = (entry: { fields: OutlineField[] } | undefined, key: string): string => {
  const value = fieldOf(entry, key)?.value
  return value === undefined || value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value)
}

/** What a trigger or step is called: its own name, else what an app's action says, else what its kind does. */
export const titleOf = (entry: OutlineEntry, card: Card | undefined): string => textOf(entry, 'name') || (card?.connector && card.title) || kindLabel(entry.kind) || card?.title || ''

/** A path of data or a formula as a word: its last name. */
const word = (expr: string): string => labelOf(/(?:^|\.)([A-Za-z_]\w*)$/.exec(expr.trim())?.[1] ?? expr)
const words = (text: string): string => partsOf(text).map((p) => p.text ?? word(p.expr ?? '')).join('')

/** One line about what a trigger or step does, in the words of the page; the server says what is the same in all languages. */
export function lineOf(entry: OutlineEntry, card: Card | undefined): string {
  const value = fieldOf(entry, entry.kind)?.value
  const of = (key: string) => {
    const v = (value as Record<string, unknown> | null | undefined)?.[key]
    return v === undefined || v === null ? '' : String(v)
  }
  switch (entry.kind) {
    case 'set':
      return value && typeof value === 'object' ? t('common.fields', { count: Object.keys(value).length }) : ''
    case 'use':
      return card?.connector ? apps.title(card.connector) : (card?.summary ?? '')
    case 'for_each':
      return of('in') && t('map.each_of', { list: word(of('in')) })
    case 'wait':
      return of('for') || (of('until') ? t('map.until', { when: words(word(of('until'))) }) : t('map.for_answer'))
    case 'schedule':
      return of('every') ? t('map.every', { every: of('every') }) : (card?.summary ?? '')
    case 'poll':
      return [apps.title(of('use').split('.')[0] ?? ''), of('every') && t('map.every', { every: of('every') })].filter(Boolean).join(' · ')
  }
  return words(card?.summary ?? '')
}

export interface Place {
  entry: OutlineEntry
  list: string
  index: number
  depth: number
  trigger?: boolean
}

/** Every trigger and step in the order of the list. */
export function placesOf(model: { triggers: OutlineEntry[]; steps: OutlineEntry[]; on_failure: OutlineEntry[] } | undefined): Place[] {
  const out: Place[] = []
  if (!model) return out
  const walk = (entries: OutlineEntry[], list: string, depth: number) => {
    entries.forEach((entry, index) => {
      out.push({ entry, list, index, depth })
      for (const inner of entry.lists) walk(inner.steps, inner.path, depth + 1)
    })
  }
  model.triggers.forEach((entry, index) => out.push({ entry, list: 'triggers', index, depth: 0, trigger: true }))
  walk(model.steps, 'steps', 0)
  walk(model.on_failure, 'on_failure', 0)
  return out
}

/** The header of an inner list as a sentence: "Path A: if Kind is refund", "Path B: everything else". */
export function listLine(model: Model | undefined, list: OutlineList): string {
  const name = listTitle(list)
  if (list.role !== 'path') return name
  const condition = model?.conditions[list.path]
  if (condition) return t('map.path_if', { name, condition })
  return fieldOf(list, 'when') ? name : t('map.path_else', { name })
}

/** The header of an inner list: "Path A", "Repeat", "If it fails". */
export function listTitle(list: OutlineList): string {
  if (list.role === 'path') return textOf(list, 'name') || t('map.path')
  if (list.role === 'part') return textOf(list, 'name') || t('map.part')
  return list.role === 'steps' ? t('map.each_round') : t('map.if_it_fails')
}

/** Whether a run went along the list of steps at a path of the model; undefined: it has not decided, or never can. */
export function wentAlong(model: Model | undefined, run: RunDetail | undefined, list: string): boolean | undefined {
  if (!run) return undefined
  for (const { entry } of placesOf(model)) {
    const at = entry.lists.findIndex((l) => l.path === list)
    if (at < 0) continue
    const view = run.steps?.find((s) => s.id === entry.run_id)
    if (entry.lists[at]!.role === 'on_error') return entry.lists[at]!.steps.some((inner) => run.steps?.some((s) => s.id === inner.run_id && s.status !== 'skipped'))
    if (entry.lists[at]!.role !== 'path') return view !== undefined
    const taken = (view?.input as { taken?: number[] } | undefined)?.taken
    if (taken) return taken.includes(at)
    return view?.status === 'skipped' || run.finished_at ? false : undefined
  }
  return undefined
}

export interface Became {
  status: string
  /** Of a loop: how its rounds went. */
  rounds?: { done: number; failed: number; total: number }
  /** Of a step inside a loop: in how many rounds it ran; undefined: once, or not all rounds are known. */
  times?: number
}

/** What a run did with each step, by the id that runs call it. Of a step that ran in several rounds the worst counts. */
export function becameOf(run: RunDetail | undefined): Map<string, Became> {
  const out = new Map<string, Became>()
  if (!run) return out
  const worst = ['failed', 'unknown', 'running', 'waiting', 'queued']
  const all = (run.steps ?? []).every((s) => !s.rounds || s.rounds.shown >= s.rounds.total)
  for (const step of stepsOf(run)) {
    const views = (run.steps ?? []).filter((s) => s.id === step.id)
    const status = worst.find((w) => views.some((s) => s.status === w)) ?? (views.some((s) => s.status === 'succeeded') ? 'succeeded' : step.status)
    const rounds = step.view?.rounds
    out.set(step.id, { status, rounds: rounds && { done: rounds.done, failed: rounds.failed, total: rounds.total }, times: all && views.length > 1 ? views.length : undefined })
  }
  return out
}
