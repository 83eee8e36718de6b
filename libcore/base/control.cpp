// SPDX-License-Identifier: Apache-2.0
// Stopping at a safe point.
#include "libcore/base/control.hpp"

#include "libcore/base/error.hpp"

namespace stillhouse {

void Control::throw_if_stopped() const
{
    if (stop_requested()) {
        throw_error(ErrorCode::stopped, "stopped on request");
    }
}

}  // namespace stillhouse
