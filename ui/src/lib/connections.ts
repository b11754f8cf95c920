import { api } from './api'
import type { ConnectionItem, ConnectorView } from './api.types'
import { t } from './i18n'
import type { Look } from './words'

/** What a form needs of one field of a connection. */
export interface ConnectionField {
  name: string
  title: string
  help: string
  kind: 'text' | 'secret' | 'lines' | 'number' | 'yes' | 'choice' | 'list'
  secret: boolean
  required: boolean
  more: boolean
  choices: string[]
  suffix: string
  example: string
  fallback: unknown
}

export async function allConnections(signal?: AbortSignal): Promise<ConnectionItem[]> {
  const items: ConnectionItem[] = []
  let cursor = ''
  do {
    const page = await api('GET /connections', { query: { limit: 200, cursor }, signal })
    items.push(...page.items)
    cursor = page.next
  } while (cursor)
  return items
}

export const stateLook: Record<ConnectionItem['state'], Look> = { working: 'ok', untested: 'quiet', failing: 'err', sign_in: 'warn', incomplete: 'warn' }
export const stateLabel = (state: ConnectionItem['state']): string => t(`connections.is_${state}`)
/** Nothing works through it until a person does something. */
export const needsPerson = (c: ConnectionItem): boolean => c.state === 'failing' || c.state === 'sign_in' || c.state === 'incomplete'

/** What is broken comes first; else by name. */
export function arrangeConnections(items: ConnectionItem[], query: string): ConnectionItem[] {
  const wanted = query.trim().toLowerCase()
  return items
    .filter((c) => !wanted || `${c.name}\n${c.connector}\n${c.label ?? ''}`.toLowerCase().includes(wanted))
    .sort((a, b) => Number(needsPerson(b)) - Number(needsPerson(a)) || a.name.localeCompare(b.name))
}

type Schema = Record<string, unknown>

/** The fields of a form for a new connection: those that the auth needs, then what else the app takes. */
export function fieldsOf(app: ConnectorView, auth: string): ConnectionField[] {
  const scheme = app.auth.find((a) => a.id === auth) ?? app.auth[0]
  const schema = (app.schemas.connection ?? {}) as Schema
  const properties = (schema.properties ?? {}) as Record<string, Schema>
  const required = new Set([...((schema.required as string[] | undefined) ?? []), ...(scheme?.fields ?? [])])
  const others = new Set(app.auth.filter((a) => a !== scheme).flatMap((a) => a.fields))
  for (const name of scheme?.fields ?? []) others.delete(name)
  const order = (schema['x-order'] as string[] | undefined) ?? Object.keys(properties)
  const plain = order
    .filter((name) => properties[name] && !others.has(name))
    .map((name) => plainField(name, properties[name]!, required.has(name)))
  const secrets = (scheme?.secrets ?? []).map(
    (s): ConnectionField => ({
      ...blank, name: s.name, title: s.title || s.name, help: s.help ?? '', kind: s.multiline ? 'lines' : 'secret', secret: true, required: !s.optional,
    }),
  )
  const signing = app.signing_secret
  if (signing) secrets.push({ ...blank, name: 'signing_secret', title: signing.title || t('connections.signing_secret'), help: signing.help ?? '', kind: 'secret', secret: true, more: secrets.length > 0 })
  return [...plain.filter((f) => !f.more), ...secrets.filter((f) => !f.more), ...plain.filter((f) => f.more), ...secrets.filter((f) => f.more)]
}

const blank: ConnectionField = { name: '', title: '', help: '', kind: 'text', secret: false, required: false, more: false, choices: [], suffix: '', example: '', fallback: undefined }

function plainField(name: string, s: Schema, required: boolean): ConnectionField {
  const choices = Array.isArray(s.enum) ? s.enum.map(String) : []
  const type = String(s.type ?? '')
  const kind = choices.length ? 'choice' : type === 'boolean' ? 'yes' : type === 'integer' || type === 'number' ? 'number' : type === 'array' ? 'list' : s.format === 'multiline' ? 'lines' : 'text'
  return {
    ...blank, name, title: String(s.title ?? name), help: String(s.description ?? ''), kind, required, choices,
    more: s['x-show'] === 'more' && !required, suffix: String(s['x-suffix'] ?? ''), example: Array.isArray(s.examples) && s.examples.length ? String(s.examples[0]) : '', fallback: s.default,
  }
}

/** What is sent of a form: nothing that was left empty. */
export function valuesOf(fields: ConnectionField[], typed: Record<string, string | boolean>): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  for (const f of fields) {
    const v = typed[f.name]
    if (f.kind === 'yes') {
      if (v !== undefined) out[f.name] = Boolean(v)
      continue
    }
    const text = typeof v === 'string' ? (f.secret ? v : v.trim()) : ''
    if (text === '') continue
    if (f.kind === 'number') out[f.name] = Number(text)
    else if (f.kind === 'list') out[f.name] = text.split(/[\s,]+/).filter(Boolean)
    else out[f.name] = text
  }
  return out
}

/** A name that is free: the app's own, and a number behind it when that is taken. */
export function freeName(title: string, taken: string[]): string {
  const base = title.toLowerCase().normalize('NFKD').replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 50) || 'connection'
  for (let n = 1; ; n++) {
    const name = n === 1 ? base : `${base}-${n}`
    if (!taken.includes(name)) return name
  }
}

export const needsSignIn = (app: ConnectorView, auth: string): boolean => {
  const scheme = app.auth.find((a) => a.id === auth) ?? app.auth[0]
  return Boolean(scheme?.sign_in)
}
