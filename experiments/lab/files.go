package lab

import (
	"errors"
	"io/fs"
	"os"

	"github.com/edgebft/edgebft/experiments/exit"
)

// createNew creates a file that must not exist yet.
func createNew(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, exit.Errorf(exit.Usage, "%s exists; nothing is overwritten: remove it or give another name", path)
	case err != nil:
		return nil, exit.Wrap(exit.Usage, err)
	}
	return f, nil
}

// fill writes a file that createNew made and closes it. With an error, that of err
// or its own, the file is removed: half a file would be in the way of the next try.
func fill(f *os.File, data []byte, err error) error {
	if err == nil {
		_, err = f.Write(data)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// writeNew writes a file that must not exist yet.
func writeNew(path string, data []byte) error {
	f, err := createNew(path)
	if err != nil {
		return err
	}
	return fill(f, data, nil)
}
