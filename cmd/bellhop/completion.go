package main

import (
	"github.com/spf13/cobra"
)

func (a *app) completionCommand(root *cobra.Command) *cobra.Command {
	shells := map[string]func() error{
		"bash":       func() error { return root.GenBashCompletionV2(a.stdout, true) },
		"zsh":        func() error { return root.GenZshCompletion(a.stdout) },
		"fish":       func() error { return root.GenFishCompletion(a.stdout, true) },
		"powershell": func() error { return root.GenPowerShellCompletionWithDesc(a.stdout) },
	}
	return &cobra.Command{
		Use:       "completion bash|zsh|fish|powershell",
		Short:     "Print the script that completes commands in your shell",
		Long:      "Print the script that completes commands in your shell, for example:\n\n  source <(bellhop completion bash)",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE:      func(_ *cobra.Command, args []string) error { return shells[args[0]]() },
	}
}
