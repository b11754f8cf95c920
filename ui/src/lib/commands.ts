// What the command menu finds: pages, things to do, workflows, connections and apps.
import { api } from './api'
import { connectors } from './connectors'
import { t } from './i18n'
import { path } from './router.svelte'
import { theme } from './theme.svelte'

export type Group = 'do' | 'go' | 'workflows' | 'connections' | 'apps' | 'runs'
export const groups: Group[] = ['runs', 'workflows', 'do', 'go', 'connections', 'apps']

export interface Command {
  id: string
  group: Group
  title: string
  /** A second line, or what else it is found by. */
  hint?: string
  also?: string
  keys?: string
  href?: string
  app?: string
  run?: () => unknown
}

/** Pages and actions; the same for every query. */
export function fixed(): Command[] {
  const go = (id: string, title: string, href: string, also: string, keys?: string): Command => ({ id, group: 'go', title, href, also, keys })
  return [
    go('workflows', t('nav.workflows'), '/workflows', 'home list automations', 'g w'),
    go('runs', t('nav.runs'), '/runs', 'history log', 'g r'),
    go('failed', t('menu.failed'), '/runs?status=failed', 'errors broken'),
    go('waiting', t('menu.waiting'), '/waiting', 'decision approve approval dead letters privacy', 'g q'),
    go('deliveries', t('menu.deliveries'), '/deliveries', 'calls requests hooks refused', 'g d'),
    go('connections', t('nav.connections'), '/connections', 'accounts sign in keys tokens', 'g c'),
    go('apps', t('nav.apps'), '/apps', 'connectors directory openapi'),
    go('templates', t('nav.templates'), '/templates', 'examples start'),
    go('settings', t('nav.settings'), '/settings', 'time zone address language about', 'g s'),
    { id: 'new', group: 'do', title: t('menu.new'), href: '/workflows/new', also: 'create add start' },
    { id: 'theme', group: 'do', title: theme.dark ? t('nav.light') : t('nav.dark'), also: 'dark light theme color appearance', run: () => theme.set(theme.dark ? 'light' : 'dark') },
    { id: 'keys', group: 'do', title: t('menu.keys'), also: 'shortcuts keyboard help', keys: '?' },
  ]
}

const fits = (c: Command, words: string[]): number => {
  const title = c.title.toLowerCase()
  const all = `${title} ${c.hint ?? ''} ${c.also ?? ''}`.toLowerCase()
  if (!words.every((w) => all.includes(w))) return 0
  return 1 + (words.every((w) => title.includes(w)) ? 2 : 0) + (words[0] && title.startsWith(words[0]) ? 2 : 0)
}

/** Those that have every word of the query, the closest first, at most `most` of a group. */
export function pick(all: Command[], query: string, most = 6): Command[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  const scored = words.length ? all.map((c) => ({ c, s: fits(c, words) })).filter((x) => x.s).sort((a, b) => b.s - a.s) : all.map((c) => ({ c, s: 1 }))
  return groups.flatMap((g) => scored.filter((x) => x.c.group === g).slice(0, words.length ? most : 12).map((x) => x.c))
}

const isRun = (s: string) => /^[0-9a-v]{26}$/i.test(s)

/** What the server knows about the query. */
export async function ask(query: string, signal: AbortSignal, turned: (name: string, on: boolean) => void): Promise<Command[]> {
  const q = query.trim()
  if (isRun(q)) return [{ id: 'run', group: 'runs', title: t('menu.run', { id: q }), href: path`/runs/${q}`, also: q }]
  const [workflows, own, apps] = await Promise.all([
    api('GET /workflows', { query: { q: q.split(/\s+/).at(-1), limit: 200 }, signal }),
    q ? api('GET /connections', { query: { limit: 200 }, signal }) : { items: [] },
    q ? connectors() : [],
  ])
  const turn = (id: string, name: string, on: boolean) => async () => {
    await api('PUT /workflows/{id}/enabled', { path: { id }, body: { enabled: on } })
    turned(name, on)
  }
  return [
    ...workflows.items.flatMap((w): Command[] => [
      { id: 'w:' + w.id, group: 'workflows', title: w.name, hint: w.id === w.name ? '' : w.id, href: path`/workflows/${w.id}` },
      ...(q
        ? [
            { id: 'r:' + w.id, group: 'do' as const, title: t('menu.runs_of', { name: w.name }), href: `/runs?workflow=${encodeURIComponent(w.id)}` },
            { id: 't:' + w.id, group: 'do' as const, title: w.enabled ? t('menu.turn_off', { name: w.name }) : t('menu.turn_on', { name: w.name }), run: turn(w.id, w.name, !w.enabled) },
          ]
        : []),
    ]),
    ...own.items.map((c): Command => ({ id: 'c:' + c.name, group: 'connections', title: c.name, hint: c.label, also: c.connector, app: c.connector, href: path`/connections/${c.name}` })),
    ...apps.map((a): Command => ({ id: 'a:' + a.id, group: 'apps', title: a.title, also: a.id, app: a.id, href: path`/apps/${a.id}` })),
  ]
}
