# SPDX-License-Identifier: Apache-2.0
teacher=$SOURCE/share/teachers/bookworm
