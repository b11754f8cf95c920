package server

import "github.com/gin-gonic/gin"

// Routes are all routes of the router, so that a test can hold them against the description.
func (s *Server) Routes() gin.RoutesInfo { return s.router.Routes() }
