// Every page: its address, its component, the groups of texts that it uses besides the core, the place in the sidebar.
import type { Component } from 'svelte'
import { match } from './lib/address'

export interface Route {
  path: string
  load: () => Promise<{ default: Component<any> }>
  texts?: string[]
  section: 'workflows' | 'runs' | 'connections' | 'apps' | 'templates' | 'settings'
  /** The page has its own header and columns: the sidebar folds to a rail, the bottom bar goes. */
  full?: boolean
}

export const routes: Route[] = [
  { path: '/welcome', load: () => import('./routes/Welcome.svelte'), texts: ['welcome'], section: 'workflows' },
  { path: '/workflows', load: () => import('./routes/Workflows.svelte'), section: 'workflows' },
  { path: '/workflows/new', load: () => import('./routes/NewWorkflow.svelte'), texts: ['new'], section: 'workflows' },
  { path: '/workflows/:id', load: () => import('./routes/Editor.svelte'), texts: ['editor', 'map', 'run', 'connections'], section: 'workflows', full: true },
  { path: '/workflows/:id/triggers/:trigger', load: () => import('./routes/Trigger.svelte'), texts: ['trigger'], section: 'workflows' },
  { path: '/runs', load: () => import('./routes/Runs.svelte'), texts: ['runs', 'waiting', 'bulk'], section: 'runs' },
  { path: '/waiting', load: () => import('./routes/Waiting.svelte'), texts: ['runs', 'waiting', 'bulk'], section: 'runs' },
  { path: '/runs/:id', load: () => import('./routes/Run.svelte'), texts: ['runs', 'run', 'map', 'waiting'], section: 'runs' },
  { path: '/deliveries', load: () => import('./routes/Deliveries.svelte'), texts: ['runs', 'waiting', 'deliveries'], section: 'runs' },
  { path: '/deliveries/:id', load: () => import('./routes/Delivery.svelte'), texts: ['runs', 'deliveries'], section: 'runs' },
  { path: '/connections', load: () => import('./routes/Connections.svelte'), texts: ['connections', 'apps'], section: 'connections' },
  { path: '/connections/:name', load: () => import('./routes/Connection.svelte'), texts: ['connections', 'apps'], section: 'connections' },
  { path: '/apps', load: () => import('./routes/Apps.svelte'), texts: ['apps'], section: 'apps' },
  { path: '/apps/:id', load: () => import('./routes/AppPage.svelte'), texts: ['apps', 'connections'], section: 'apps' },
  { path: '/templates', load: () => import('./routes/Templates.svelte'), texts: ['templates'], section: 'templates' },
  { path: '/settings', load: () => import('./routes/Settings.svelte'), texts: ['settings'], section: 'settings' },
]

/** The page of an address, and what stands in its place-holders. */
export function routeOf(path: string): { route: Route; params: Record<string, string> } | undefined {
  const found = match(routes.map((r) => r.path), path)
  const route = routes.find((r) => r.path === found?.route)
  return found && route && { route, params: found.params }
}
