export type Theme = 'light' | 'dark' | 'system'

class ThemeChoice {
  wish = $state<Theme>('system')
  /** What is shown, whoever decided it. */
  dark = $state(document.documentElement.dataset.theme === 'dark')

  constructor() {
    try {
      const stored = localStorage.getItem('bellhop.theme')
      if (stored === 'light' || stored === 'dark') this.wish = stored
    } catch {
      // then it follows the system
    }
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.apply())
  }

  set(theme: Theme) {
    this.wish = theme
    try {
      if (theme === 'system') localStorage.removeItem('bellhop.theme')
      else localStorage.setItem('bellhop.theme', theme)
    } catch {
      // it holds for this page
    }
    this.apply()
  }

  private apply() {
    this.dark = this.wish === 'dark' || (this.wish === 'system' && matchMedia('(prefers-color-scheme: dark)').matches)
    document.documentElement.dataset.theme = this.dark ? 'dark' : 'light'
  }
}

export const theme = new ThemeChoice()
