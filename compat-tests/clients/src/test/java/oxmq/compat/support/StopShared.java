package oxmq.compat.support;

import org.junit.platform.launcher.LauncherSession;
import org.junit.platform.launcher.LauncherSessionListener;

/** Stops the shared cluster when the last test is over. */
public final class StopShared implements LauncherSessionListener {
    @Override
    public void launcherSessionClosed(LauncherSession session) {
        Cluster.stopShared();
    }
}
