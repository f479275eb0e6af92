package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/hashlist/seal"
)

func newListKey() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make, rotate and revoke the keys that sign and encrypt snapshots",
		Args:  commandArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return exit(exitUsage, nil)
		},
	}
	cmd.AddCommand(newListKeyNew(), newListKeyPublic(), newListKeyRotate(), newListKeyRevoke(), newListKeySerials())
	return cmd
}

func newListKeyNew() *cobra.Command {
	var encryption bool
	cmd := &cobra.Command{
		Use:   "new [--encryption] FILE",
		Short: "Make a key: FILE is the private one, FILE.pub the public one",
		Long: `Make a key that signs snapshots, or with --encryption an age identity that decrypts them. FILE, readable for you only,
is the private one; FILE.pub goes to those who verify (lists[].verify), its content to those who encrypt (keys.recipients).`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := args[0]
			public, err := makeKey(path, encryption)
			if err != nil {
				return exit(exitUnwritten, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s and %s.pub\n%s", printable(path), printable(path), public)
			return err
		},
	}
	cmd.Flags().BoolVar(&encryption, "encryption", false, "make an age identity, which decrypts, in place of a key that signs")
	return cmd
}

// makeKey writes a new key and its public one to new files, or neither.
func makeKey(path string, encryption bool) (public []byte, err error) {
	if encryption {
		text, recipient, err := newIdentity()
		if err != nil {
			return nil, err
		}
		if err := seal.WriteNew(path, 0o600, text); err != nil {
			return nil, err
		}
		public = []byte(recipient + "\n")
	} else {
		key, err := seal.NewKey()
		if err != nil {
			return nil, err
		}
		if err := key.Write(path); err != nil {
			return nil, err
		}
		public = seal.Trust{{Key: key.Public()}}.Text()
	}
	if err := seal.WriteNew(path+".pub", 0o644, public); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return public, nil
}

func newListKeyPublic() *cobra.Command {
	return &cobra.Command{
		Use:   "public FILE",
		Short: "Print the public key of a private one, or the recipient of an age identity",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if key, err := seal.ReadKey(args[0]); err == nil {
				_, err = cmd.OutOrStdout().Write(seal.Trust{{Key: key.Public()}}.Text())
				return err
			}
			identities, err := seal.ReadIdentities(args[0])
			if err != nil {
				return fmt.Errorf("%s: neither a private key nor an age identity that only its owner can read", printable(args[0]))
			}
			for _, identity := range identities {
				own, ok := identity.(*age.X25519Identity)
				if !ok {
					return fmt.Errorf("%s: an identity of another kind than AGE-SECRET-KEY-1", printable(args[0]))
				}
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), own.Recipient()); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func newListKeyRotate() *cobra.Command {
	var trust string
	var overlap time.Duration
	cmd := &cobra.Command{
		Use:   "rotate --trust KEYS.pub NEW",
		Short: "Make the key NEW, accepted from now on; those before are accepted a while longer",
		Long: `Make the key NEW, and put it into the file of public keys KEYS.pub, accepted from now on. The keys that are in it sign
for --overlap longer; what they signed until then stays good. Give KEYS.pub to those who verify before you sign with NEW.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if trust == "" || overlap < 0 {
				return errors.New("list key rotate: --trust: which file of public keys? and --overlap must not be negative")
			}
			keys, err := seal.ReadTrust(trust)
			if err != nil {
				return err
			}
			public, err := makeKey(args[0], false)
			if err != nil {
				return exit(exitUnwritten, err)
			}
			made, err := seal.ParseTrust(public)
			if err == nil {
				keys, err = keys.Rotate(made[0].Key, time.Now(), overlap)
			}
			if err == nil {
				err = keys.Write(trust)
			}
			if err != nil {
				return exit(exitUnwritten, errors.Join(err, os.Remove(args[0]), os.Remove(args[0]+".pub")))
			}
			_, err = cmd.OutOrStdout().Write(keys.Text())
			return err
		},
	}
	cmd.Flags().StringVar(&trust, "trust", "", "the file of public keys")
	cmd.Flags().DurationVar(&overlap, "overlap", 30*24*time.Hour, "how long the keys before may still sign")
	return cmd
}

func newListKeyRevoke() *cobra.Command {
	var trust string
	cmd := &cobra.Command{
		Use:   "revoke --trust KEYS.pub ID",
		Short: "Revoke a key: nothing that it signed is accepted any more",
		Long: `Revoke the key with that ID (the 16 digits that stand beside it), in the file of public keys KEYS.pub: nothing that it
signed is accepted any more, whenever it was signed. Sign the lists with another key first, else they are refused.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if trust == "" {
				return errors.New("list key revoke: --trust: which file of public keys?")
			}
			keys, err := seal.ReadTrust(trust)
			if err != nil {
				return err
			}
			keys, ok := keys.Revoke(strings.ToLower(args[0]), time.Now())
			if !ok {
				return fmt.Errorf("%s: no key %s in it", printable(trust), printable(args[0]))
			}
			if err := keys.Write(trust); err != nil {
				return exit(exitUnwritten, err)
			}
			_, err = cmd.OutOrStdout().Write(keys.Text())
			return err
		},
	}
	cmd.Flags().StringVar(&trust, "trust", "", "the file of public keys")
	return cmd
}

func newListKeySerials() *cobra.Command {
	var file, accept string
	cmd := &cobra.Command{
		Use:   "serials --config FILE [--accept SNAPSHOT LIST]",
		Short: "Show what was in force last of each verified list, or accept an older snapshot",
		Long: `Show the serial of the snapshot of each verified list that was in force last: older ones are refused. With --accept, a
roll-back: SNAPSHOT, which must be signed for LIST with an accepted key, is remembered in its place, and so are those
accepted again that are newer than it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" || (accept == "") != (len(args) == 0) {
				return errors.New("list key serials: want --config FILE, and with --accept SNAPSHOT the name of the list")
			}
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			seen, ok := c.Seen()
			if !ok {
				return fmt.Errorf("%s: keys.seen is not stated", printable(file))
			}
			if accept != "" {
				return acceptOlder(cmd, c, accept, args[0])
			}
			for _, l := range c.Lists {
				if len(l.Verify) == 0 {
					continue
				}
				last, err := seen.Last(l.Name)
				if err != nil {
					return err
				}
				last.List = l.Name
				if err := json.NewEncoder(cmd.OutOrStdout()).Encode(last); err != nil {
					return exit(exitUnwritten, err)
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (see: hashmatch config doc)")
	cmd.Flags().StringVar(&accept, "accept", "", "the older snapshot that is to be accepted")
	return cmd
}

func acceptOlder(cmd *cobra.Command, c *config.Config, path, name string) error {
	for _, l := range c.Lists {
		if l.Name != name {
			continue
		}
		reading, err := c.Reading(l, time.Now())
		if err == nil && len(reading.Trust) == 0 {
			err = fmt.Errorf("list %q is not verified", name)
		}
		if err != nil {
			return err
		}
		reading.Last = seal.Serial{}
		_, statement, err := seal.Open(path, reading)
		if err != nil {
			return err
		}
		if err := c.Lower(statement); err != nil {
			return exit(exitUnwritten, err)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: serial %d, signed at %s, and later ones are accepted\n",
			name, statement.Serial, statement.Signed.Format(time.RFC3339))
		return err
	}
	return fmt.Errorf("no list %s in the configuration", printable(name))
}
