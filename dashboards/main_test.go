package dashboards

import (
	"os"
	"testing"

	"github.com/warder/warder/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
