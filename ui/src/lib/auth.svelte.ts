// A server with an admin token asks for it once. It stays in this browser's session storage, so it ends with the tab.
const name = 'bellhop.token'

class Auth {
  token = ''
  /** Whether a page should ask for the token, and whether one was tried and refused. */
  needed = $state(false)
  refused = $state(false)
  private waiting: (() => void)[] = []

  constructor() {
    try {
      this.token = sessionStorage.getItem(name) ?? ''
    } catch {
      // a browser that stores nothing asks again after a reload
    }
  }

  /** Waits until there is another token than the one that was tried. */
  ask(tried: string): Promise<void> {
    if (this.token !== tried) return Promise.resolve()
    this.refused = tried !== ''
    this.needed = true
    return new Promise((resolve) => this.waiting.push(resolve))
  }

  set(token: string) {
    this.token = token
    try {
      sessionStorage.setItem(name, token)
    } catch {
      // see above
    }
    this.needed = false
    for (const go of this.waiting.splice(0)) go()
  }
}

export const auth = new Auth()
