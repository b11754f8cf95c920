import { api } from './api'
import type { ConnectorItem, ConnectorView } from './api.types'

const views = new Map<string, Promise<ConnectorView>>()
let list: Promise<ConnectorItem[]> | undefined

/** One app with all that a form needs; fetched once for a page. */
export function connector(id: string): Promise<ConnectorView> {
  let view = views.get(id)
  if (!view) {
    view = api('GET /connectors/{id}', { path: { id } })
    view.catch(() => views.delete(id))
    views.set(id, view)
  }
  return view
}

/** Every app with the names of its actions. */
export function connectors(): Promise<ConnectorItem[]> {
  list ??= (async () => {
    const out: ConnectorItem[] = []
    let cursor = ''
    do {
      const page = await api('GET /connectors', { query: { limit: 200, cursor } })
      out.push(...page.items)
      cursor = page.next
    } while (cursor)
    return out
  })()
  list.catch(() => (list = undefined))
  return list
}

/** What was fetched is not true any more. */
export function forget() {
  views.clear()
  list = undefined
}
