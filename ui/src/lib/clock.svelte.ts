class Clock {
  /** Moves on every ten seconds, for "2 min ago". */
  now = $state(Date.now())

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.now = Date.now()
    }, 10_000)
  }
}

export const clock = new Clock()
