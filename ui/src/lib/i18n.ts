// Texts for people. messages/en.json is the list of keys; other languages are complete or fall back to it text by text.
// A message is ICU: {name}, {n, number}, {n, plural, =0 {…} one {…} other {…}} and {x, select, a {…} other {…}}.
import type en from '../../messages/en.json'
import core from 'virtual:messages/en/core'
import loaders from 'virtual:messages/index'

export type Key = keyof typeof en
export type Params = Record<string, string | number>
type Part =
  | string
  | { kind: 'hash' }
  | { name: string; kind: 'value' }
  | { name: string; kind: 'number' }
  | { name: string; kind: 'plural' | 'select'; cases: Record<string, Part[]> }

export const languages = { en: 'English', de: 'Deutsch' } as const
/** pseudo is longer and accented, pseudo-rtl also runs from right to left: they show what a translation would break. */
export type Language = keyof typeof languages | 'pseudo' | 'pseudo-rtl'

export function chosenLanguage(): Language {
  let wish: string | null = null
  try {
    wish = localStorage.getItem('bellhop.language')
  } catch {
    // a browser that stores nothing still has a language
  }
  if (wish === 'pseudo' || wish === 'pseudo-rtl' || (wish && wish in languages)) return wish as Language
  for (const tag of navigator.languages ?? []) {
    const short = tag.slice(0, 2)
    if (short in languages) return short as Language
  }
  return 'en'
}

export const language: Language = typeof navigator === 'undefined' || typeof localStorage === 'undefined' ? 'en' : chosenLanguage()
export const pseudo = language.startsWith('pseudo')
/** For Intl: the reader's own region where the language is theirs. */
export const locale: string =
  pseudo || typeof navigator === 'undefined' ? 'en-GB' : ((navigator.languages ?? []).find((tag) => tag.startsWith(language)) ?? language)

let texts: Record<string, string> = { ...core }
const compiled = new Map<string, Part[]>()
const loading = new Map<string, Promise<void>>()

/** Loads a group of texts; `core` is there from the start but for other languages. */
export function loadMessages(group: string): Promise<void> {
  let started = loading.get(group)
  if (!started) {
    started = (async () => {
      const name = pseudo ? 'en' : language
      const [base, own] = await Promise.all([loaders[`en/${group}`]?.(), name === 'en' ? undefined : loaders[`${name}/${group}`]?.()])
      texts = { ...texts, ...base?.default, ...own?.default }
      compiled.clear()
    })()
    loading.set(group, started)
  }
  return started
}

export function t(key: Key, params?: Params): string {
  let parts = compiled.get(key)
  if (!parts) {
    const text = texts[key]
    parts = text === undefined ? [key] : parse(text)
    compiled.set(key, parts)
  }
  const out = render(parts, params ?? {})
  return pseudo ? strange(out) : out
}

/** A text whose key is made of data, such as a status: undefined when there is none. */
export function maybe(key: string, params?: Params): string | undefined {
  return key in texts ? t(key as Key, params) : undefined
}

export function parse(text: string): Part[] {
  let at = 0
  const list = (inPlural: boolean): Part[] => {
    const parts: Part[] = []
    let plain = ''
    const push = () => {
      if (plain) parts.push(plain)
      plain = ''
    }
    while (at < text.length && text[at] !== '}') {
      const c = text[at]!
      if (c === '{') {
        push()
        at++
        parts.push(argument())
      } else if (c === '#' && inPlural) {
        push()
        at++
        parts.push({ kind: 'hash' })
      } else {
        plain += c
        at++
      }
    }
    push()
    return parts
  }
  const word = (stop: RegExp): string => {
    const start = at
    while (at < text.length && !stop.test(text[at]!)) at++
    return text.slice(start, at).trim()
  }
  const argument = (): Part => {
    const name = word(/[,}]/)
    if (text[at] === '}') {
      at++
      return { name, kind: 'value' }
    }
    at++
    const kind = word(/[,}]/)
    if (kind === 'number') {
      at++
      return { name, kind }
    }
    if (kind !== 'plural' && kind !== 'select') throw new Error(`message: unknown kind ${kind} in ${text}`)
    at++
    const cases: Record<string, Part[]> = {}
    while (at < text.length && text[at] !== '}') {
      const label = word(/[{}]/)
      if (text[at] !== '{') break
      at++
      cases[label] = list(kind === 'plural')
      at++
    }
    at++
    if (!cases.other) throw new Error(`message: no other in ${text}`)
    return { name, kind, cases }
  }
  const parts = list(false)
  if (at < text.length) throw new Error(`message: stray } in ${text}`)
  return parts
}

const number = new Intl.NumberFormat(locale)
const plural = new Intl.PluralRules(pseudo ? 'en' : language)

function render(parts: Part[], params: Params, hash?: number): string {
  let out = ''
  for (const part of parts) {
    if (typeof part === 'string') out += part
    else if (part.kind === 'hash') out += number.format(hash ?? 0)
    else {
      const value = params[part.name] ?? ''
      if (part.kind === 'value') out += value
      else if (part.kind === 'number') out += number.format(Number(value))
      else if (part.kind === 'select') out += render(part.cases[String(value)] ?? part.cases.other!, params, hash)
      else {
        const n = Number(value)
        out += render(part.cases['=' + n] ?? part.cases[plural.select(n)] ?? part.cases.other!, params, n)
      }
    }
  }
  return out
}

const accents: Record<string, string> = { a: 'á', e: 'é', i: 'í', o: 'ö', u: 'ü', A: 'Á', E: 'É', I: 'Í', O: 'Ö', U: 'Ü', n: 'ñ', c: 'ç', s: 'š' }
function strange(text: string): string {
  const long = [...text].map((c) => accents[c] ?? c).join('')
  return `[${long}${'~'.repeat(Math.ceil(text.length * 0.4))}]`
}
