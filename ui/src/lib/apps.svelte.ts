// What is known of every app by its id: its title and its drawing. Fetched once, when the first tile asks.
import type { ConnectorItem } from './api.types'
import { connectors, forget } from './connectors'

class Apps {
  private byID = $state.raw<Record<string, ConnectorItem>>({})
  private asked = false

  of(id: string): ConnectorItem | undefined {
    if (!this.asked && id) {
      this.asked = true
      connectors().then(
        (all) => (this.byID = Object.fromEntries(all.map((c) => [c.id, c]))),
        () => (this.asked = false),
      )
    }
    return this.byID[id]
  }
  title(id: string): string {
    return this.of(id)?.title ?? id
  }
  /** Another app is there. */
  reload() {
    forget()
    this.asked = false
  }
}

export const apps = new Apps()
